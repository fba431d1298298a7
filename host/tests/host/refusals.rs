//! Components that cannot be opened, and what then becomes of the host.

use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable_testbed::within;
use tokio::time::Instant;

use super::harness::{Journal, Place, component, open_names, waiting};

#[tokio::test]
async fn a_failed_init_ends_the_start_and_closes_what_was_opened() {
    let yaml = [
        component("first", "state.rec", "", &[]),
        component("bad", "state.rec", "", &[("failInit", "no such host")]),
        component("never", "state.rec", "", &[]),
    ];
    let journal = Journal::default();
    let place = Place::new(&yaml.concat());
    let error = place.start(&journal).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(
            "[INIT_COMPONENT_FAILURE]: initialization error occurred for bad (state.rec/v1): no such host"
        ),
        "{text}"
    );
    assert!(text.contains("components.yaml:"), "{text}");
    assert_eq!(
        journal.events(),
        [
            "open state first",
            "opened state first",
            "open state bad",
            "close state first"
        ]
    );
}

#[tokio::test]
async fn ignored_errors_leave_the_others() {
    let ignore = "ignoreErrors: true";
    let yaml = [
        component("bad", "state.rec", ignore, &[("failInit", "no such host")]),
        component(
            "slow",
            "state.rec",
            "ignoreErrors: true\n  initTimeout: 50ms",
            &[("hang", "")],
        ),
        component("v2", "state.other", ignore, &[]).replace("version: v1", "version: v2"),
        component("typo", "stat.rec", ignore, &[]),
        component(
            "secret",
            "state.rec",
            ignore,
            &[("primaryEncryptionKey", "k")],
        ),
        component("good", "state.rec", "", &[]),
        component("lock", "lock.redis", "", &[]),
    ];
    let journal = Journal::default();
    let place = Place::new(&yaml.concat());
    let running = place.start(&journal).await.unwrap();
    assert_eq!(open_names(&running), ["good"]);
    let waiting = waiting(&running);
    for (name, expected) in [
        ("bad", "for bad (state.rec/v1): no such host"),
        ("slow", "init timeout for component slow (state.rec/v1)"),
        ("v2", "couldn't find state store state.other/v2"),
        ("typo", "incorrect type stat.rec"),
        ("secret", "primaryEncryptionKey"),
    ] {
        let (_, reason) = waiting.iter().find(|(other, _)| other == name).unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(waiting.len(), 5);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_passing_reason_is_tried_again_later_and_later() {
    let ignore = "ignoreErrors: true";
    let yaml = [
        component("busy", "state.rec", ignore, &[("busy", "\"3\"")]),
        component("bad", "state.rec", ignore, &[("failInit", "no such host")]),
    ];
    let journal = Journal::default();
    let place = Place::new(&yaml.concat());
    let running = place.start(&journal).await.unwrap();
    let begun = Instant::now();
    assert!(waiting(&running)[1].1.contains("no backend yet"));
    let mut changes = running.registry().watch();
    let opened = changes.wait_for(|components| components.state_store("busy").is_some());
    within("another Init", opened).await.unwrap();
    // After pauses of 2, 4 and 8 seconds, each up to the next look.
    let lasted = begun.elapsed();
    assert!((14..=20).contains(&lasted.as_secs()), "{lasted:?}");
    let events = journal.events();
    let inits = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(inits("open state busy"), 4);
    assert_eq!(inits("open state bad"), 1);
    running.stop().await;
}

#[tokio::test]
async fn an_init_that_takes_too_long_is_given_up() {
    let yaml = component("slow", "state.rec", "initTimeout: 100ms", &[("hang", "")]);
    let place = Place::new(&yaml);
    let journal = Journal::default();
    let started = Instant::now();
    let start = within("the start to give up", place.start(&journal)).await;
    let error = start.unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(*error.kind(), ErrorKind::TimedOut);
    let expected = "init timeout for component slow (state.rec/v1): no answer within 100ms";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_binding_whose_second_side_does_not_open_has_its_first_closed() {
    for (trouble, text, expected) in [
        ("failInit", "no such host", "no such host"),
        ("hang", "\"\"", "init timeout for component bd"),
    ] {
        let metadata = [("only", "output"), (trouble, text)];
        let yaml = component("bd", "bindings.rec", "initTimeout: 100ms", &metadata);
        let journal = Journal::default();
        let place = Place::new(&yaml);
        let start = within("the start to give up", place.start(&journal)).await;
        let error = start.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let closed = "close input bd".to_owned();
        assert!(journal.events().contains(&closed), "{:?}", journal.events());
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_opened() {
    for (bad, expected) in [
        (
            component("bad", "state.rec", "", &[("primaryEncryptionKey", "k")]),
            "the metadata primaryEncryptionKey asks for encryption",
        ),
        (
            component("bad", "state.rec", "", &[("SecondaryEncryptionKey", "k")]),
            "the metadata SecondaryEncryptionKey asks for encryption",
        ),
        (
            component("bad", "State.rec", "", &[]),
            "incorrect type State.rec",
        ),
        (
            component("bad", "state.rec", "", &[]).replace("version: v1", "version: v2"),
            "couldn't find state store state.rec/v2",
        ),
    ] {
        let journal = Journal::default();
        let place = Place::new(&(component("good", "state.rec", "", &[]) + &bad));
        let error = place.start(&journal).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            error.to_string().starts_with("[INIT_COMPONENT_FAILURE]"),
            "{error}"
        );
        assert!(journal.events().is_empty(), "{:?}", journal.events());
    }
}

#[tokio::test]
async fn bad_metadata_for_the_host_is_an_init_failure() {
    for (bad, expected) in [
        (
            component("bad", "state.rec", "", &[("keyPrefix", "a||b")]),
            "input key/keyPrefix 'a||b' can't contain '||'",
        ),
        (
            component("bad", "bindings.rec", "", &[("direction", "both")]),
            "invalid value \"both\" for key \"direction\"",
        ),
        (
            component("bad", "state.rec", "", &[("host", "'{podName}'")]),
            "POD_NAME is not set",
        ),
    ] {
        let journal = Journal::default();
        let error = Place::new(&bad).start(&journal).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(journal.events().is_empty(), "{:?}", journal.events());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_ends_the_start() {
    let place = Place::new("");
    let missing = place.sockets_folder().join("none");
    let error = place
        .host(&Journal::default())
        .resources_path(&missing)
        .start()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(&*missing.to_string_lossy()),
        "{error}"
    );
}
