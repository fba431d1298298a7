//! Components behind sockets: there from the start, late, gone, restarted, and sockets that are none.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use dapr_pluggable_testbed::within;
use tokio::time::Instant;

use crate::harness::{Journal, Place, component, open_names, waiting};

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

#[tokio::test]
async fn a_socket_that_never_answers_does_not_hold_up_what_does_not_need_it() {
    let place = Place::new(&component("here", "state.rec", "", &[]));
    // It takes connections and says nothing.
    let _silent = UnixListener::bind(place.socket("silent")).unwrap();
    let begun = Instant::now();
    let running = place.start(&Journal::default()).await.unwrap();
    // The silent one has three seconds, and nothing else here takes one.
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(open_names(&running), ["here"]);
    running.stop().await;
}

#[tokio::test]
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
