//! The life cycle that every building block has: before Init, after Init, another Init, a failed one.

use dapr_pluggable_protocol::components::v1 as proto;
use proto::queriable_state_store_client::QueriableStateStoreClient;
use proto::transactional_state_store_client::TransactionalStateStoreClient;
use proto::transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient;
use tokio_stream::once;
use tonic::{Code, Request, Response, Status};

use super::rig::{Rig, metadata, refused, to, with_rig};

/// Every method but Init and Ping, for an instance.
async fn call_everything(rig: &Rig, instance: &str) -> Vec<(&'static str, Result<(), Status>)> {
    fn plain<T>(answer: Result<Response<T>, Status>) -> Result<(), Status> {
        answer.map(|_| ())
    }
    let channel = || rig.channel.clone();
    let (mut state, mut pubsub) = (rig.state(), rig.pubsub());
    let (mut input, mut output, mut secrets) = (rig.input(), rig.output(), rig.secrets());
    let mut transactional = TransactionalStateStoreClient::new(channel());
    let mut sized = TransactionalStoreMultiMaxSizeClient::new(channel());
    let mut queryable = QueriableStateStoreClient::new(channel());
    macro_rules! outcomes {
        ($($client:ident . $method:ident ($message:expr)),+ $(,)?) => {
            vec![$((
                concat!(stringify!($client), ".", stringify!($method)),
                plain($client.$method(to(instance, $message)).await),
            )),+]
        };
    }
    outcomes![
        state.features(proto::FeaturesRequest {}),
        state.get(proto::GetRequest::default()),
        state.set(proto::SetRequest::default()),
        state.delete(proto::DeleteRequest::default()),
        state.bulk_get(proto::BulkGetRequest::default()),
        state.bulk_set(proto::BulkSetRequest::default()),
        state.bulk_delete(proto::BulkDeleteRequest::default()),
        transactional.transact(proto::TransactionalStateRequest::default()),
        sized.multi_max_size(proto::MultiMaxSizeRequest {}),
        queryable.query(proto::QueryRequest::default()),
        pubsub.features(proto::FeaturesRequest {}),
        pubsub.publish(proto::PublishRequest::default()),
        pubsub.bulk_publish(proto::BulkPublishRequest::default()),
        pubsub.pull_messages(once(proto::PullMessagesRequest::default())),
        pubsub.pause(proto::PauseRequest {}),
        pubsub.resume(proto::ResumeRequest {}),
        input.read(once(proto::ReadRequest::default())),
        output.invoke(proto::InvokeRequest::default()),
        output.list_operations(proto::ListOperationsRequest {}),
        secrets.features(proto::FeaturesRequest {}),
        secrets.get(proto::GetSecretRequest::default()),
        secrets.bulk_get(proto::BulkGetSecretRequest::default()),
    ]
}

async fn ping_everything(rig: &Rig, instance: &str) {
    let ping = || to(instance, proto::PingRequest {});
    rig.state().ping(ping()).await.unwrap();
    rig.pubsub().ping(ping()).await.unwrap();
    rig.input().ping(ping()).await.unwrap();
    rig.output().ping(ping()).await.unwrap();
    rig.secrets().ping(ping()).await.unwrap();
}

#[tokio::test]
async fn before_init_only_ping_answers() {
    with_rig(async |rig| {
        ping_everything(&rig, "orders").await;
        for (method, outcome) in call_everything(&rig, "orders").await {
            let status = outcome.unwrap_err();
            assert_eq!(
                status.code(),
                Code::FailedPrecondition,
                "{method}: {status:?}"
            );
            assert!(
                status.message().contains("no Init received for 'orders'"),
                "{method}: {status:?}"
            );
        }
        assert!(rig.notes.all().is_empty(), "{:?}", rig.notes.all());
    })
    .await;
}

#[tokio::test]
async fn after_init_ping_asks_the_component() {
    with_rig(async |rig| {
        rig.open_state("orders", &[("label", "away")]).await;
        let ping = rig.state().ping(to("orders", proto::PingRequest {})).await;
        refused(ping, Code::Unavailable, &["the backend is away"]);
        // Another building block, and another instance, have no value yet.
        rig.pubsub()
            .ping(to("orders", proto::PingRequest {}))
            .await
            .unwrap();
        rig.state()
            .ping(to("bills", proto::PingRequest {}))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_init_without_metadata_is_refused() {
    with_rig(async |rig| {
        let naming = &["metadata"];
        let code = Code::InvalidArgument;
        refused(
            rig.state()
                .init(proto::InitRequest { metadata: None })
                .await,
            code,
            naming,
        );
        let request = proto::PubSubInitRequest { metadata: None };
        refused(rig.pubsub().init(request).await, code, naming);
        let request = proto::InputBindingInitRequest { metadata: None };
        refused(rig.input().init(request).await, code, naming);
        let request = proto::OutputBindingInitRequest { metadata: None };
        refused(rig.output().init(request).await, code, naming);
        let request = proto::SecretStoreInitRequest { metadata: None };
        refused(rig.secrets().init(request).await, code, naming);
        assert!(rig.notes.all().is_empty());
    })
    .await;
}

#[tokio::test]
async fn bad_settings_name_key_and_value_and_the_next_init_may_be_right() {
    with_rig(async |rig| {
        let status = rig.init_state("orders", &[("size", "many")]).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        for part in ["size", "many"] {
            assert!(status.message().contains(part), "{status:?}");
        }
        let get = || {
            to(
                "orders",
                proto::GetRequest {
                    key: "a".to_owned(),
                    ..Default::default()
                },
            )
        };
        refused(
            rig.state().get(get()).await,
            Code::FailedPrecondition,
            &["orders", "size", "many"],
        );
        let unreachable = rig.init_state("orders", &[("unreachable", "true")]).await;
        assert_eq!(unreachable.unwrap_err().code(), Code::Unavailable);
        refused(
            rig.state().get(get()).await,
            Code::FailedPrecondition,
            &["the backend is away"],
        );
        rig.open_state("orders", &[("size", "7")]).await;
        rig.state().get(get()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_second_init_replaces_the_value_unless_it_says_the_same() {
    with_rig(async |rig| {
        rig.open_state("orders", &[("label", "first")]).await;
        rig.open_state("orders", &[("label", "first")]).await;
        assert_eq!(rig.notes.all(), ["open InstanceId(orders) first"]);
        rig.open_state("orders", &[("label", "second")]).await;
        rig.notes.wait_for("close first").await;
        let failed = rig.init_state("orders", &[("unreachable", "true")]).await;
        assert_eq!(failed.unwrap_err().code(), Code::Unavailable);
        rig.notes.clear();
        rig.state()
            .ping(to("orders", proto::PingRequest {}))
            .await
            .unwrap();
        assert_eq!(rig.notes.all(), ["ping second"]);
    })
    .await;
}

#[tokio::test]
async fn instances_share_nothing() {
    with_rig(async |rig| {
        rig.open_state("a", &[]).await;
        rig.open_state("b", &[]).await;
        let set = proto::SetRequest {
            key: "k".to_owned(),
            value: "1".into(),
            ..Default::default()
        };
        rig.state().set(to("a", set)).await.unwrap();
        let get = proto::GetRequest {
            key: "k".to_owned(),
            ..Default::default()
        };
        let found = async |instance| {
            let answer = rig.state().get(to(instance, get.clone())).await;
            answer.unwrap().into_inner()
        };
        assert_eq!(found("a").await.data, "1");
        assert_eq!(found("b").await, proto::GetResponse::default());
        refused(
            rig.state().get(to("c", get.clone())).await,
            Code::FailedPrecondition,
            &["'c'"],
        );
    })
    .await;
}

#[tokio::test]
async fn no_header_and_an_empty_one_name_the_default_instance() {
    with_rig(async |rig| {
        let init = proto::InitRequest {
            metadata: metadata(&[("label", "default")]),
        };
        rig.state().init(init).await.unwrap();
        rig.state()
            .ping(to("", proto::PingRequest {}))
            .await
            .unwrap();
        rig.state().ping(proto::PingRequest {}).await.unwrap();
        assert_eq!(
            rig.notes.all(),
            ["open InstanceId() default", "ping default", "ping default"]
        );
        let mut request = Request::new(proto::PingRequest {});
        let odd = tonic::metadata::MetadataValue::try_from(&b"caf\xc3\xa9"[..]).unwrap();
        request.metadata_mut().insert("x-component-instance", odd);
        refused(
            rig.state().ping(request).await,
            Code::InvalidArgument,
            &["x-component-instance"],
        );
    })
    .await;
}
