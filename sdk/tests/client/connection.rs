//! Connections: how they are made, break and are made anew.

use std::os::unix::net::UnixListener;

use dapr_pluggable::client::Client;
use dapr_pluggable::state::GetRequest;
use dapr_pluggable::{ErrorKind, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{socket_folder, within};

use super::foreign::{Acting, Foreign};

#[tokio::test]
async fn a_connection_that_cannot_be_made_says_why() {
    let folder = socket_folder();
    let missing = folder.path().join("missing.sock");
    let error = Client::connect(&missing).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("there is no such file"), "{error}");

    let stale = folder.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let error = Client::connect(&stale).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("it is stale"), "{error}");
    assert!(error.message().contains(stale.to_str().unwrap()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_given_up() {
    let folder = socket_folder();
    let path = folder.path().join("a.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let client = Client::connect(&path).await.unwrap();
    let instance = InstanceId::new("orders");
    let errors = [
        client.services().await.unwrap_err(),
        client.attach_state_store(&instance).await.err().unwrap(),
        client.attach_input_binding(&instance).await.err().unwrap(),
    ];
    for error in errors {
        assert!(error.is_transient(), "{error:?}");
        assert!(error.message().contains("no answer within 5s"), "{error}");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_peer_that_dies_ends_its_calls_and_names_the_socket() {
    let peer = Foreign::start(Acting::new().0).await;
    let client = Client::connect(peer.socket()).await.unwrap();
    let store = client.attach_state_store(&InstanceId::new("orders")).await;
    let store = store.unwrap();
    let call = store.get(GetRequest::new("never"));
    let socket = peer.socket().to_owned();
    let death = async {
        peer.acting.was_called("Get orders").await;
        drop(peer);
    };
    let (outcome, ()) = within("the end of the call", async { tokio::join!(call, death) }).await;
    let broken = outcome.unwrap_err();
    let refused = store.get(GetRequest::new("k")).await.unwrap_err();
    for error in [&broken, &refused] {
        assert_eq!(*error.kind(), ErrorKind::Unavailable);
        assert!(error.wire().is_none(), "{error:?}");
        let message = error.message();
        assert!(message.contains(socket.to_str().unwrap()), "{error}");
    }
    assert!(refused.message().contains("there is no such file"));
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_at_the_peer() {
    let peer = Foreign::start(Acting::new().0).await;
    let client = Client::connect(peer.socket()).await.unwrap();
    let store = client.attach_state_store(&InstanceId::new("orders")).await;
    let store = store.unwrap();
    tokio::select! {
        outcome = store.get(GetRequest::new("never")) => panic!("answered {outcome:?}"),
        () = peer.acting.was_called("Get orders") => {}
    }
    peer.acting.was_called("a call was dropped").await;
    store.get(GetRequest::new("k")).await.unwrap();
}

#[tokio::test]
async fn a_name_that_no_header_can_have_is_refused() {
    let peer = Foreign::start(Acting::new().0).await;
    let client = Client::connect(peer.socket()).await.unwrap();
    let opened = client
        .open_state_store(&InstanceId::new("a\nb"), &Metadata::new())
        .await;
    assert_eq!(*opened.err().unwrap().kind(), ErrorKind::InvalidRequest);
    let umlaut = client.attach_state_store(&InstanceId::new("größe")).await;
    umlaut.unwrap();
    assert_eq!(peer.acting.calls(), ["Features größe"]);
}
