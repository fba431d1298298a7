//! Components behind sockets: there from the start, late, gone, restarted, and sockets that are none.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use dapr_pluggable::Stop;
use dapr_pluggable::state::{GetRequest, SetRequest};
use dapr_pluggable_host::Running;
use dapr_pluggable_testbed::{eventually, eventually_equal, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::harness::{Journal, Place, component, open_names, value, waiting};

#[tokio::test]
async fn init_comes_over_the_socket_in_daprs_order() {
    let yaml = [
        component("st1", "state.remote", "", &[("a", "1")]),
        component("ps", "pubsub.remote", "", &[]),
        component("bd", "bindings.remote", "", &[]),
        component("sec", "secretstores.remote", "", &[]),
        component(
            "st2",
            "state.Remote",
            "",
            &[("a", "2"), ("keyPrefix", "none")],
        ),
    ];
    let place = Place::new(&yaml.concat());
    let journal = Journal::default();
    let serving = place.serve("remote", journal.blocks()).await;
    let running = place.start(&Journal::default()).await.unwrap();
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
    assert_eq!(
        value(&running, "st1", "a").await.unwrap().as_deref(),
        Some("1")
    );
    assert_eq!(
        value(&running, "st2", "a").await.unwrap().as_deref(),
        Some("2")
    );
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn memory_behind_a_socket_keeps_what_is_set() {
    let place = Place::new(&component("st", "state.memory", "", &[]));
    let serving = place.serve("memory", dapr_component_memory::blocks()).await;
    let running = place.start(&Journal::default()).await.unwrap();
    let components = running.registry().components();
    let store = components.state_store("st").unwrap();
    let key = store.prefix().add("k").unwrap();
    store
        .store()
        .set(SetRequest::new(&*key, "v"))
        .await
        .unwrap();
    let entry = store.store().get(GetRequest::new(&*key)).await.unwrap();
    assert_eq!(entry.unwrap().value, "v");
    assert_eq!(
        store.capabilities().first().map(String::as_str),
        Some("ETAG")
    );
    assert!(store.capabilities().contains(&"ACTOR".to_owned()));
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn a_socket_comes_before_the_catalogue() {
    let place = Place::new(&component("st", "state.rec", "", &[]));
    let (own, remote) = (Journal::default(), Journal::default());
    let serving = place.serve("rec", remote.blocks()).await;
    let running = place.start(&own).await.unwrap();
    assert_eq!(remote.events(), ["open state st", "opened state st"]);
    assert!(own.events().is_empty());
    running.stop().await;
    serving.stop(Stop::Drain).await;

    // What a killed component leaves behind is not in the way.
    drop(UnixListener::bind(place.socket("rec")).unwrap());
    let running = place.start(&own).await.unwrap();
    assert_eq!(own.events(), ["open state st", "opened state st"]);
    running.stop().await;
}

/// Waits until a component is open.
async fn attached(running: &Running, name: &str) {
    let mut changes = running.registry().watch();
    let attached = changes.wait_for(|components| components.state_store(name).is_some());
    within("the component to be attached", attached)
        .await
        .unwrap();
}

#[tokio::test]
async fn late_sockets_are_attached_in_any_order() {
    let needs_secret = "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: second}\nauth: {secretStore: vault}\n\
                        spec: {type: state.other, metadata: [{name: a, secretKeyRef: {name: db, key: pass}}]}\n";
    let yaml = [
        component("first", "state.late", "", &[("a", "1")]),
        needs_secret.to_owned(),
        component("vault", "secretstores.late", "", &[("pass", "p")]),
    ];
    let place = Place::new(&yaml.concat());
    let running = place.start(&Journal::default()).await.unwrap();
    assert!(open_names(&running).is_empty());
    assert!(running.readiness().is_outbound_ready());
    assert_eq!(waiting(&running).len(), 3);

    // Its secret store is not there yet.
    let other = place.serve("other", Journal::default().blocks()).await;
    let late = place.serve("late", Journal::default().blocks()).await;
    attached(&running, "first").await;
    attached(&running, "second").await;
    assert_eq!(
        value(&running, "first", "a").await.unwrap().as_deref(),
        Some("1")
    );
    assert_eq!(
        value(&running, "second", "a").await.unwrap().as_deref(),
        Some("p")
    );
    assert!(waiting(&running).is_empty());
    running.stop().await;
    for serving in [other, late] {
        serving.stop(Stop::Drain).await;
    }
}

#[tokio::test]
async fn a_folder_that_comes_late_is_found() {
    let place = Place::new(&component("st", "state.late", "", &[("a", "1")]));
    let folder = place.sockets_folder();
    fs::remove_dir(&folder).unwrap();
    let running = place.start(&Journal::default()).await.unwrap();
    assert!(open_names(&running).is_empty());
    let serving = place.serve("late", Journal::default().blocks()).await;
    attached(&running, "st").await;
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn a_socket_that_begins_to_answer_is_attached() {
    let place = Place::new(&component("st", "state.late", "", &[("a", "1")]));
    // Bound by something that is not ready: nobody listens.
    drop(UnixListener::bind(place.socket("late")).unwrap());
    let running = place.start(&Journal::default()).await.unwrap();
    assert!(waiting(&running)[0].1.contains("late.sock"));
    // Our server takes its place.
    let serving = place.serve("late", Journal::default().blocks()).await;
    attached(&running, "st").await;
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn a_component_that_starts_again_gets_its_init_again() {
    let place = Place::new(&component("st", "state.remote", "", &[("a", "1")]));
    let serving = place.serve("remote", Journal::default().blocks()).await;
    let running = place.start(&Journal::default()).await.unwrap();
    assert_eq!(
        value(&running, "st", "a").await.unwrap().as_deref(),
        Some("1")
    );
    serving.stop(Stop::Drain).await;
    eventually("calls to fail", async || {
        value(&running, "st", "a").await.is_err()
    })
    .await;
    let folder = place.sockets_folder();
    let gone = format!("waiting for the socket remote.sock in {}", folder.display());
    let expected = vec![("st".to_owned(), gone)];
    eventually_equal("the loss to be seen", expected, async || waiting(&running)).await;

    let journal = Journal::default();
    let serving = place.serve("remote", journal.blocks()).await;
    eventually_equal("the value", Some("1".to_owned()), async || {
        value(&running, "st", "a").await.ok().flatten()
    })
    .await;
    assert_eq!(journal.events(), ["open state st", "opened state st"]);
    // The component may answer a moment before the host knows that it is open.
    eventually("the loss to be over", async || waiting(&running).is_empty()).await;
    assert_eq!(open_names(&running), ["st"]);
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn one_that_refuses_its_second_init_is_seen() {
    let place = Place::new(&component("st", "state.remote", "", &[("failInit", "no")]));
    let serving = place.serve("remote", dapr_component_memory::blocks()).await;
    let running = place.start(&Journal::default()).await.unwrap();
    serving.stop(Stop::Drain).await;
    let serving = place.serve("remote", Journal::default().blocks()).await;
    eventually("the refusal to be seen", async || {
        let waiting = waiting(&running);
        waiting
            .iter()
            .any(|(_, reason)| reason.contains("for st (state.remote/v1): no"))
    })
    .await;
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn none_is_opened_with_an_empty_secret_because_its_secret_store_is_away() {
    let yaml = [
        component("vault", "secretstores.vault", "", &[("pass", "p")]),
        "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: st}\nauth: {secretStore: vault}\n\
         spec: {type: state.remote, metadata: [{name: a, secretKeyRef: {name: db, key: pass}}]}\n"
            .to_owned(),
    ];
    let place = Place::new(&yaml.concat());
    let vault = place.serve("vault", Journal::default().blocks()).await;
    let serving = place.serve("remote", Journal::default().blocks()).await;
    let running = place.start(&Journal::default()).await.unwrap();
    let read = async || value(&running, "st", "a").await.ok().flatten();
    assert_eq!(read().await.as_deref(), Some("p"));

    vault.stop(Stop::Drain).await;
    serving.stop(Stop::Drain).await;
    let journal = Journal::default();
    let serving = place.serve("remote", journal.blocks()).await;
    eventually("the component to wait for its secret", async || {
        let waiting = waiting(&running);
        waiting.iter().any(|(name, reason)| {
            name == "st" && reason.starts_with("waiting for the secret store vault: ")
        })
    })
    .await;
    assert!(journal.events().is_empty());

    let vault = place.serve("vault", Journal::default().blocks()).await;
    eventually_equal("the value", Some("p".to_owned()), read).await;
    assert_eq!(journal.events(), ["open state st", "opened state st"]);
    running.stop().await;
    for serving in [vault, serving] {
        serving.stop(Stop::Drain).await;
    }
}

#[tokio::test]
async fn a_late_component_that_refuses_is_seen_and_tried_again_when_it_comes_anew() {
    let place = Place::new(&component(
        "st",
        "state.late",
        "",
        &[("failInit", "no such host")],
    ));
    let running = place.start(&Journal::default()).await.unwrap();
    let serving = place.serve("late", Journal::default().blocks()).await;
    let mut changes = running.registry().watch();
    let failed = changes.wait_for(|components| {
        let mut waiting = components.waiting();
        waiting.any(|waiting| waiting.reason.contains("no such host"))
    });
    within("the failure to be seen", failed).await.unwrap();
    serving.stop(Stop::Drain).await;

    // Another one, that takes the metadata.
    let serving = place.serve("late", dapr_component_memory::blocks()).await;
    attached(&running, "st").await;
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn an_init_that_hangs_ends_with_its_deadline_on_the_wire_too() {
    let yaml = [
        component(
            "slow",
            "state.remote",
            "ignoreErrors: true\n  initTimeout: 200ms",
            &[("hang", "")],
        ),
        component("good", "state.remote", "", &[]),
    ];
    let place = Place::new(&yaml.concat());
    let journal = Journal::default();
    let serving = place.serve("remote", journal.blocks()).await;
    let running = within("the start", place.start(&Journal::default()))
        .await
        .unwrap();
    assert_eq!(open_names(&running), ["good"]);
    let waiting = waiting(&running);
    assert!(
        waiting[0].1.contains("init timeout for component slow"),
        "{waiting:?}"
    );
    let given_up = "given up state slow".to_owned();
    eventually("the component to learn of it", async || {
        journal.events().contains(&given_up)
    })
    .await;
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn a_component_that_lacks_the_building_block_is_named() {
    let place = Place::new(&component("ps", "pubsub.remote", "", &[]));
    let serving = place
        .serve("remote", Journal::default().state_store())
        .await;
    let running = place.start(&Journal::default()).await.unwrap();
    let waiting = waiting(&running);
    assert!(
        waiting[0]
            .1
            .contains("has no service dapr.proto.components.v1.PubSub"),
        "{waiting:?}"
    );
    running.stop().await;
    serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn garbage_on_a_socket_stops_nobody() {
    let yaml = [
        component("bad", "state.garbage", "", &[]),
        component("good", "state.remote", "", &[]),
    ];
    let place = Place::new(&yaml.concat());
    let listener = tokio::net::UnixListener::bind(place.socket("garbage")).unwrap();
    let garbage = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"220 mail.example.org ESMTP\r\n")
                .await
                .unwrap();
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        }
    });
    let serving = place.serve("remote", Journal::default().blocks()).await;
    let running = within("the start", place.start(&Journal::default()))
        .await
        .unwrap();
    assert_eq!(open_names(&running), ["good"]);
    assert!(waiting(&running)[0].1.contains("garbage.sock"));
    running.stop().await;
    serving.stop(Stop::Drain).await;
    garbage.abort();
}

#[tokio::test]
async fn a_component_that_is_not_there_is_waited_for_and_seen() {
    let yaml = [
        component("late", "state.absent", "", &[]),
        component("here", "state.rec", "", &[]),
    ];
    let place = Place::new(&yaml.concat());
    let running = place.start(&Journal::default()).await.unwrap();
    assert_eq!(open_names(&running), ["here"]);
    let folder = place.sockets_folder();
    let expected = format!("waiting for the socket absent.sock in {}", folder.display());
    assert_eq!(waiting(&running), [("late".to_owned(), expected)]);
    within("the host to stop", running.stop()).await;
}

#[tokio::test]
async fn what_is_no_component_stops_nobody() {
    let yaml = [
        component("one", "state.stale", "", &[]),
        component("two", "state.text", "", &[]),
        component("here", "state.rec", "", &[]),
    ];
    let place = Place::new(&yaml.concat());
    drop(UnixListener::bind(place.socket("stale")).unwrap());
    fs::write(place.socket("text"), "no socket").unwrap();
    std::os::unix::fs::symlink(place.socket("stale"), place.socket("link")).unwrap();
    let running = place.start(&Journal::default()).await.unwrap();
    assert_eq!(open_names(&running), ["here"]);
    let waiting = waiting(&running);
    assert!(waiting[0].1.contains("stale.sock"), "{waiting:?}");
    assert!(waiting[0].1.contains("nobody listens"), "{waiting:?}");
    assert!(waiting[1].1.contains("text.sock"), "{waiting:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_answers_does_not_hold_up_what_does_not_need_it() {
    let place = Place::new(&component("here", "state.rec", "", &[]));
    // It takes connections and says nothing.
    let _silent = UnixListener::bind(place.socket("silent")).unwrap();
    let begun = Instant::now();
    let running = place.start(&Journal::default()).await.unwrap();
    // The clock goes on only while everything waits, and here the silent one alone makes anybody wait.
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(open_names(&running), ["here"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_needed_and_never_answers_is_waited_for_in_bounds() {
    let yaml = [
        component("silent", "state.silent", "", &[]),
        component("here", "state.rec", "", &[]),
    ];
    let place = Place::new(&yaml.concat());
    let _silent = UnixListener::bind(place.socket("silent")).unwrap();
    let running = within("the start", place.start(&Journal::default()))
        .await
        .unwrap();
    assert_eq!(open_names(&running), ["here"]);
    let waiting = waiting(&running);
    assert!(waiting[0].1.contains("silent.sock"), "{waiting:?}");
    running.stop().await;
}
