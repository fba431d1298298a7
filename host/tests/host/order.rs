//! What is opened when, with what, and closed when.

use dapr_pluggable_host::{ComponentResource, Environment, Identity};

use super::harness::{Journal, Place, component, open_names, value, waiting};

#[tokio::test]
async fn secret_stores_come_first_then_the_others_as_they_stand_and_all_close_backwards() {
    let yaml = [
        component("st1", "state.rec", "", &[]),
        component("ps", "pubsub.rec", "", &[]),
        component("bd", "bindings.rec", "", &[]),
        component("sec", "secretstores.rec", "", &[]),
        component("st2", "state.rec", "", &[]),
    ];
    let journal = Journal::default();
    let place = Place::new(&yaml.concat());
    let running = place.start(&journal).await.unwrap();
    let opened = [
        "secrets sec",
        "state st1",
        "pubsub ps",
        "input bd",
        "output bd",
        "state st2",
    ];
    let expected: Vec<String> = opened
        .iter()
        .flat_map(|name| [format!("open {name}"), format!("opened {name}")])
        .collect();
    assert_eq!(journal.events(), expected);
    assert_eq!(open_names(&running), ["sec", "st1", "ps", "bd", "st2"]);
    assert!(running.readiness().is_outbound_ready() && running.readiness().is_ready());
    let readiness = running.readiness().clone();

    running.stop().await;
    assert!(!readiness.is_ready() && !readiness.is_outbound_ready());
    let closed = [
        "close state st2",
        "close input bd",
        "close output bd",
        "close pubsub ps",
        "close state st1",
        "close secrets sec",
    ];
    assert_eq!(journal.events()[expected.len()..], closed);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_close_does_not_keep_the_others_open() {
    let yaml = [
        component("first", "state.rec", "", &[]),
        component("hangs", "state.rec", "", &[("hangClose", "")]),
    ];
    let journal = Journal::default();
    let place = Place::new(&yaml.concat());
    let running = place.start(&journal).await.unwrap();
    let before = journal.events().len();
    running.stop().await;
    assert_eq!(
        journal.events()[before..],
        ["close state hangs", "close state first"]
    );
}

#[tokio::test]
async fn the_direction_decides_on_the_sides_of_a_binding() {
    for (direction, expected) in [
        (None, &["INPUT_BINDING", "OUTPUT_BINDING"][..]),
        (Some("input"), &["INPUT_BINDING"]),
        (Some("Output"), &["OUTPUT_BINDING"]),
        (
            Some("\"output, INPUT\""),
            &["INPUT_BINDING", "OUTPUT_BINDING"],
        ),
        (Some("input,other"), &["INPUT_BINDING"]),
    ] {
        let metadata: Vec<(&str, &str)> = direction
            .iter()
            .map(|direction| ("Direction", *direction))
            .collect();
        let place = Place::new(&component("bd", "bindings.rec", "", &metadata));
        let running = place.start(&Journal::default()).await.unwrap();
        let infos = running.registry().components().infos();
        assert_eq!(infos[0].capabilities, expected, "{direction:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn init_gets_values_variables_and_secrets() {
    let yaml = format!(
        "{}{}",
        r"
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: st}
auth: {secretStore: vault}
spec:
  type: state.rec
  metadata:
  - {name: plain, value: 7}
  - {name: id, value: 'of-{appID}'}
  - {name: region, envRef: REGION}
  - {name: password, secretKeyRef: {name: db, key: pass}}
  - {name: user, secretKeyRef: {name: db, key: user}}
  - {name: missing, secretKeyRef: {name: db, key: none}}
",
        component(
            "vault",
            "secretstores.rec",
            "",
            &[("pass", "p"), ("user", "u")]
        )
    );
    let journal = Journal::default();
    let place = Place::new(&yaml);
    let environment = Environment::from([("REGION", "eu")]);
    let running = place
        .host(&journal)
        .environment(environment)
        .start()
        .await
        .unwrap();
    for (name, expected) in [
        ("plain", Some("7")),
        ("id", Some("of-app")),
        ("region", Some("eu")),
        ("password", Some("p")),
        ("user", Some("u")),
        ("missing", Some("")),
        ("other", None),
    ] {
        let value = value(&running, "st", name).await.unwrap();
        assert_eq!(value.as_deref(), expected, "{name}");
    }
    let gets = journal.events();
    let gets = gets.iter().filter(|event| event.starts_with("get "));
    assert_eq!(gets.collect::<Vec<_>>(), ["get secrets vault db"]);
    running.stop().await;
}

#[tokio::test]
async fn secret_stores_may_need_each_other() {
    let needs = |name: &str, store: &str| {
        format!(
            "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\nauth: {{secretStore: {store}}}\n\
             spec: {{type: secretstores.rec, metadata: [{{name: k, secretKeyRef: {{name: s}}}}]}}\n"
        )
    };
    let yaml = [
        needs("first", "second"),
        needs("second", "third"),
        component("third", "secretstores.rec", "", &[]),
        needs("lost", "nowhere"),
    ];
    let place = Place::new(&yaml.concat());
    let running = place.start(&Journal::default()).await.unwrap();
    assert_eq!(open_names(&running), ["third", "second", "first"]);
    // As under Dapr, it is no error, but it can be seen.
    let expected = "waiting for the secret store nowhere, which is not loaded";
    assert_eq!(
        waiting(&running),
        [("lost".to_owned(), expected.to_owned())]
    );
    running.stop().await;
}

#[tokio::test]
async fn components_of_the_program_come_before_those_of_files() {
    let place = Place::new(&component("file", "state.rec", "", &[]));
    let own = ComponentResource::new(
        Identity::new("statestore", "state.rec", "v1"),
        [("keyPrefix", "name")],
    );
    let running = place
        .host(&Journal::default())
        .component(own.clone())
        .start()
        .await
        .unwrap();
    assert_eq!(open_names(&running), ["statestore", "file"]);
    let components = running.registry().components();
    let store = components.state_store("statestore").unwrap();
    assert_eq!(store.prefix().add("k").unwrap(), "statestore||k");
    let store = components.state_store("file").unwrap();
    assert_eq!(store.prefix().add("k").unwrap(), "app||k");
    running.stop().await;

    let place = Place::new(&component("statestore", "state.rec", "", &[]));
    let journal = Journal::default();
    let error = place
        .host(&journal)
        .component(own)
        .start()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("duplicate definition"),
        "{error}"
    );
    assert!(journal.events().is_empty());
}
