//! Clients while our own server comes and goes, and next to each other.

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{GetRequest, SetRequest};
use dapr_pluggable::{Blocks, ErrorKind, InstanceId, Metadata, Opener as _, Server, Serving, Stop};
use dapr_pluggable_testbed::{socket_folder, within};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::recorder::{Recorder, Served, entry, serve};

#[tokio::test]
async fn the_next_call_after_a_restart_connects_anew() {
    let served = Served::start().await;
    let client = served.client().await;
    let (orders, nothing) = (InstanceId::new("orders"), Metadata::new());
    let store = client.open_state_store(&orders, &nothing).await.unwrap();
    served.serving.stop(Stop::Drain).await;
    let gone = store.get(GetRequest::new("k")).await.unwrap_err();
    assert_eq!(*gone.kind(), ErrorKind::Unavailable);
    assert!(gone.message().contains("there is no such file"), "{gone}");

    let _serving = serve(&served.recorder, served.folder.path()).await;
    assert_eq!(client.blocks().await.unwrap().len(), 5);
    let forgotten = store.get(GetRequest::new("k")).await.unwrap_err();
    assert_eq!(*forgotten.kind(), ErrorKind::NotOpened);
    client.open_state_store(&orders, &nothing).await.unwrap();
    let found = store.get(GetRequest::new("k")).await.unwrap();
    assert_eq!(found, Some(entry("k")));
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_in_the_component() {
    let served = Served::start().await;
    let client = served.client().await;
    let orders = InstanceId::new("orders");
    let store = client.open_state_store(&orders, &Metadata::new()).await;
    let store = store.unwrap();
    let asked = format!("{:?}", GetRequest::new("never"));
    tokio::select! {
        outcome = store.get(GetRequest::new("never")) => panic!("answered {outcome:?}"),
        () = served.recorder.has_seen(&asked) => {}
    }
    served.recorder.has_seen("\"dropped\"").await;
    store.get(GetRequest::new("k")).await.unwrap();
}

#[tokio::test]
async fn who_attaches_finds_what_another_has_opened() {
    let served = Served::start().await;
    let (one, two) = (served.client().await, served.client().await);
    let orders = InstanceId::new("orders");
    let early = two.attach_state_store(&orders).await.err().unwrap();
    assert_eq!(*early.kind(), ErrorKind::NotOpened);
    let opened = one.open_state_store(&orders, &Metadata::new()).await;
    let opened = opened.unwrap();
    let attached = two.attach_state_store(&orders).await.unwrap();
    assert_eq!(attached.claims(), opened.claims());

    // Closing one says nothing to the component, and so nothing to the other.
    opened.close().await.unwrap();
    let closed = opened.set(SetRequest::new("k", "1")).await.unwrap_err();
    assert_eq!(*closed.kind(), ErrorKind::NotOpened);
    attached.set(SetRequest::new("k", "2")).await.unwrap();
    assert_eq!(
        served.recorder.seen(),
        [format!("{:?}", SetRequest::new("k", "2"))]
    );
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let served = Served::start().await;
    let client = served.client().await;
    let orders = InstanceId::new("orders");
    let store = client.open_state_store(&orders, &Metadata::new()).await;
    let store = store.unwrap();
    let calls = (0..500).map(|number| {
        let store = &store;
        async move {
            let key = format!("key {number}");
            let found = store.get(GetRequest::new(&key)).await.unwrap();
            assert_eq!(found, Some(entry(&key)));
        }
    });
    within("all answers", futures::future::join_all(calls)).await;
}

#[tokio::test]
async fn calls_that_are_given_up_cost_the_others_nothing() {
    let served = Served::start().await;
    let client = served.client().await;
    let orders = InstanceId::new("orders");
    let store = client.open_state_store(&orders, &Metadata::new()).await;
    let store = store.unwrap();
    let lasting = store.get(GetRequest::new("never"));
    let given_up = async {
        for _ in 0..40 {
            let call = |number| store.get(GetRequest::new(format!("key {number}")));
            let mut calls: FuturesUnordered<_> = (0..100).map(call).collect();
            // The answers to the others are on their way.
            calls.next().await.unwrap().unwrap();
        }
    };
    tokio::select! {
        outcome = lasting => panic!("the connection ended: {outcome:?}"),
        () = within("the calls", given_up) => {}
    }
}

#[tokio::test]
async fn requests_that_are_refused_early_cost_the_others_nothing() {
    const LIMIT: usize = 64 << 10;
    let (recorder, folder) = (Recorder::default(), socket_folder());
    let make = move || recorder.clone();
    let server = Server::new("small")
        .blocks(Blocks::new().state_store_from(make))
        .max_message_size(LIMIT)
        .sockets_folder(folder.path());
    let serving = Serving::start([server]).await.unwrap();
    let client = Client::connect(serving.sockets().next().unwrap()).await;
    let (orders, nothing) = (InstanceId::new("orders"), Metadata::new());
    let store = client.unwrap().open_state_store(&orders, &nothing).await;
    let store = store.unwrap();
    let lasting = store.get(GetRequest::new("never"));
    let refused = async {
        for _ in 0..20 {
            // Most of it is on its way when the limit is seen.
            let call = |_| store.set(SetRequest::new("k", vec![0; 6 * LIMIT]));
            for outcome in futures::future::join_all((0..100).map(call)).await {
                let error = outcome.unwrap_err();
                assert!(error.message().contains("65536"), "{error:?}");
            }
        }
    };
    tokio::select! {
        outcome = lasting => panic!("the connection ended: {outcome:?}"),
        () = within("the refusals", refused) => {}
    }
}
