//! What a client makes of the answers of peers of another make.

use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::Publication;
use dapr_pluggable::state::{GetRequest, Parallelism, SetRequest};
use dapr_pluggable::{Block, ErrorKind, InstanceId, Metadata, Opener as _};
use tonic::Code;

use super::foreign::{Acting, Foreign};

async fn foreign(change: impl FnOnce(&mut Acting)) -> (Foreign, Client) {
    let (mut acting, _) = Acting::new();
    change(&mut acting);
    let peer = Foreign::start(acting).await;
    let client = Client::connect(peer.socket()).await.unwrap();
    (peer, client)
}

fn orders() -> InstanceId {
    InstanceId::new("orders")
}

#[tokio::test]
async fn an_open_is_init_and_features_and_every_call_names_the_instance() {
    let (peer, client) = foreign(|_| ()).await;
    let properties = Metadata::from([("host", "a"), ("deliveryWindow", "8")]);
    let store = client.open_state_store(&orders(), &properties).await;
    let store = store.unwrap();
    store.set(SetRequest::new("k", "v")).await.unwrap();
    store.ping().await.unwrap();
    let default = client.attach_state_store(&InstanceId::default()).await;
    default.unwrap();
    assert_eq!(
        peer.acting.calls(),
        [
            "Init orders",
            r#"[("deliveryWindow", "8"), ("host", "a")]"#,
            "Features orders",
            "Set orders",
            "Ping orders",
            "Features ",
        ]
    );
}

#[tokio::test]
async fn the_blocks_are_those_that_reflection_lists() {
    let (peer, client) = foreign(|_| ()).await;
    assert_eq!(
        client.blocks().await.unwrap(),
        [Block::StateStore, Block::PubSub]
    );
    assert_eq!(client.socket(), peer.socket());
    let services = client.services().await.unwrap();
    assert!(
        services.contains("dapr.proto.components.v1.PubSub"),
        "{services:?}"
    );
}

#[tokio::test]
async fn a_block_that_is_not_there_is_named_with_the_socket() {
    let (peer, client) = foreign(|_| ()).await;
    let nothing = Metadata::new();
    let errors = [
        client.open_secret_store(&orders(), &nothing).await.err(),
        client.attach_secret_store(&orders()).await.err(),
        client.open_input_binding(&orders(), &nothing).await.err(),
        client.attach_input_binding(&orders()).await.err(),
        client.attach_output_binding(&orders()).await.err(),
    ];
    for (error, block) in errors.into_iter().zip([
        Block::SecretStore,
        Block::SecretStore,
        Block::InputBinding,
        Block::InputBinding,
        Block::OutputBinding,
    ]) {
        let error = error.unwrap();
        assert_eq!(*error.kind(), ErrorKind::Unsupported);
        for part in [
            block.as_str(),
            block.service(),
            peer.socket().to_str().unwrap(),
        ] {
            assert!(error.message().contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn features_that_are_not_implemented_are_the_components_error() {
    let (_peer, client) = foreign(|acting| {
        acting.errors.insert("Features", Code::Unimplemented);
    })
    .await;
    let opened = client.open_state_store(&orders(), &Metadata::new()).await;
    let error = opened.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.message(), "Features is odd");
    assert_eq!(error.wire().unwrap().code, 12);
}

#[tokio::test]
async fn a_refused_init_is_about_the_settings() {
    let (peer, client) = foreign(|acting| {
        acting.errors.insert("Init", Code::InvalidArgument);
    })
    .await;
    let opened = client.open_pubsub(&orders(), &Metadata::new()).await;
    let error = opened.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    assert_eq!(error.message(), "Init is odd");
    assert_eq!(peer.acting.calls(), ["Init orders"]);
}

#[tokio::test]
async fn a_peer_without_reflection_can_be_opened_but_not_asked() {
    let (peer, client) = foreign(|acting| acting.reflection = false).await;
    let error = client.services().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    let socket = peer.socket().to_str().unwrap();
    assert!(error.message().contains("reflection v1alpha"), "{error}");
    assert!(error.message().contains(socket), "{error}");
    client
        .open_state_store(&orders(), &Metadata::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn capabilities_follow_the_features_where_the_runtime_looks_at_them() {
    let features = ["TRANSACTIONAL", "ETAG", "DELETE_WITH_PREFIX", "BULK_PUBSUB"];
    let (_peer, client) = foreign(|acting| {
        acting.features = features.map(str::to_owned).to_vec();
        acting.errors.insert("Pause", Code::Unimplemented);
    })
    .await;
    let store = client.attach_state_store(&orders()).await.unwrap();
    assert!(store.claims().etag && !store.claims().ttl);
    assert_eq!(store.claims().other, ["DELETE_WITH_PREFIX", "BULK_PUBSUB"]);
    let transactional = store.transactional().unwrap();
    // There is no service that would say how many.
    assert_eq!(transactional.max_operations().await.unwrap(), None);
    let query = store.queryable().unwrap().query(Default::default()).await;
    assert_eq!(*query.unwrap_err().kind(), ErrorKind::Unsupported);

    let broker = client.attach_pubsub(&orders()).await.unwrap();
    assert!(broker.bulk_publisher().is_some());
    let pausable = broker.pausable().unwrap();
    let paused = pausable.pause().await.unwrap_err();
    assert_eq!(*paused.kind(), ErrorKind::Unsupported);
    pausable.resume().await.unwrap();
}

#[tokio::test]
async fn nothing_is_claimed_for_a_peer_that_claims_nothing() {
    let (_peer, client) = foreign(|_| ()).await;
    let store = client.attach_state_store(&orders()).await.unwrap();
    assert!(store.transactional().is_none());
    let broker = client.attach_pubsub(&orders()).await.unwrap();
    assert!(broker.bulk_publisher().is_none());
}

#[tokio::test]
async fn bulk_answers_are_put_in_the_order_of_the_requests() {
    let (_peer, client) = foreign(|_| ()).await;
    let store = client.attach_state_store(&orders()).await.unwrap();
    let requests = ["a", "left out", "c"].map(GetRequest::new).to_vec();
    let entries = store.bulk_get(requests, Parallelism::new(0)).await.unwrap();
    let [a, left_out, c] = &entries[..] else {
        panic!("expected three answers: {entries:?}");
    };
    let value = |outcome: &dapr_pluggable::Result<Option<dapr_pluggable::state::Entry>>| {
        outcome.as_ref().unwrap().clone().unwrap().value
    };
    assert_eq!(
        (a.key.as_str(), value(&a.outcome).as_ref()),
        ("a", &b"a"[..])
    );
    assert_eq!(
        (c.key.as_str(), value(&c.outcome).as_ref()),
        ("c", &b"c"[..])
    );
    assert_eq!(left_out.key, "left out");
    let error = left_out.outcome.as_ref().unwrap_err();
    assert!(error.message().contains("left out"), "{error}");
}

#[tokio::test]
async fn statuses_keep_their_code_and_text() {
    let (_peer, client) = foreign(|acting| {
        acting.errors.insert("Publish", Code::Aborted);
    })
    .await;
    let broker = client.attach_pubsub(&orders()).await.unwrap();
    let published = broker.publish(Publication::new("orders", "1")).await;
    let error = published.unwrap_err();
    let wire = error.wire().unwrap();
    assert_eq!((wire.code, wire.message.as_str()), (10, "Publish is odd"));
}

#[tokio::test]
async fn an_answer_may_be_larger_than_what_grpc_takes_by_default() {
    let (_peer, client) = foreign(|_| ()).await;
    let store = client.attach_state_store(&orders()).await.unwrap();
    let entry = store.get(GetRequest::new("large")).await.unwrap().unwrap();
    assert_eq!(entry.value.len(), 20 << 20);
}
