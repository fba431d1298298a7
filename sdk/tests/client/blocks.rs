//! All building blocks, from a client through our own server to a component and back.

use std::num::NonZeroU32;
use std::sync::Arc;

use dapr_pluggable::binding::InvokeRequest;
use dapr_pluggable::delivery::{Ack, Gate, Reply, window};
use dapr_pluggable::pubsub::{BulkPublication, BulkPublishEntry, Publication, Subscription};
use dapr_pluggable::secret::{GetSecretRequest, Secret};
use dapr_pluggable::state::{
    Concurrency, Consistency, DeleteRequest, Etag, Filter, GetRequest, Operation, Order, Page,
    Parallelism, Query, SetRequest, Sort,
};
use dapr_pluggable::{Block, ErrorKind, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::within;
use serde_json::json;

use super::recorder::{Served, entry, errors};

fn orders() -> InstanceId {
    InstanceId::new("orders")
}

fn option() -> Metadata {
    Metadata::from([("option", "on")])
}

fn set_request() -> SetRequest {
    let mut request = SetRequest::new("k", "v");
    request.etag = Some(Etag::from(6));
    request.metadata = option();
    request.concurrency = Concurrency::FirstWrite;
    request.consistency = Consistency::Strong;
    request.content_type = Some("text/plain".to_owned());
    request
}

#[tokio::test]
async fn a_state_store() {
    let served = Served::start().await;
    let client = served.client().await;
    assert_eq!(client.blocks().await.unwrap(), Block::ALL);
    let store = client.open_state_store(&orders(), &option()).await.unwrap();
    assert!(store.claims().etag && !store.claims().ttl);
    assert_eq!(store.claims().other, ["ACTOR", "QUERY_API"]);

    let mut get = GetRequest::new("k");
    get.metadata = option();
    get.consistency = Consistency::Eventual;
    let mut delete = DeleteRequest::new("k");
    delete.etag = Some(Etag::new(""));
    delete.concurrency = Concurrency::LastWrite;
    assert_eq!(store.get(get.clone()).await.unwrap(), Some(entry("k")));
    assert_eq!(store.get(GetRequest::new("missing")).await.unwrap(), None);
    store.set(set_request()).await.unwrap();
    store.delete(delete.clone()).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(
        served.recorder.seen(),
        [
            format!("{get:?}"),
            format!("{:?}", GetRequest::new("missing")),
            format!("{:?}", set_request()),
            format!("{delete:?}"),
            "\"ping\"".to_owned(),
        ]
    );
}

#[tokio::test]
async fn bulk_calls_of_a_state_store() {
    let served = Served::start().await;
    let client = served.client().await;
    let store = client.open_state_store(&orders(), &option()).await.unwrap();
    let one = Parallelism::new(1);
    let gets = ["a", "missing", "throttled"].map(GetRequest::new).to_vec();
    let entries = store.bulk_get(gets, one).await.unwrap();
    let [a, missing, throttled] = &entries[..] else {
        panic!("expected three answers: {entries:?}");
    };
    assert_eq!(a.outcome.as_ref().unwrap(), &Some(entry("a")));
    assert_eq!(missing.outcome.as_ref().unwrap(), &None);
    assert_eq!(throttled.key, "throttled");
    let error = throttled.outcome.as_ref().unwrap_err();
    assert_eq!(error.message(), errors()["throttled"].message());

    let before = served.recorder.seen().len();
    store.bulk_set(vec![set_request()], one).await.unwrap();
    let deletes = ["a", "b"].map(DeleteRequest::new).to_vec();
    store.bulk_delete(deletes, one).await.unwrap();
    assert_eq!(
        served.recorder.seen()[before..],
        [
            format!("{:?}", set_request()),
            format!("{:?}", DeleteRequest::new("a")),
            format!("{:?}", DeleteRequest::new("b")),
        ]
    );
}

#[tokio::test]
async fn transactions_and_queries() {
    let served = Served::start().await;
    let client = served.client().await;
    let store = client.open_state_store(&orders(), &option()).await.unwrap();
    let transactional = store.transactional().unwrap();
    let most = transactional.max_operations().await.unwrap();
    assert_eq!(most, NonZeroU32::new(10));
    let operations = vec![
        Operation::Set(set_request()),
        Operation::Delete(DeleteRequest::new("k")),
    ];
    transactional
        .transact(operations.clone(), option())
        .await
        .unwrap();

    let mut query = Query::new(Filter::And(vec![
        Filter::Equal("state".to_owned(), json!("CA")),
        Filter::Less("price".to_owned(), json!(5.5)),
    ]));
    query.sort = vec![Sort::new("price", Order::Descending)];
    query.page = Page::after(2, "here");
    let page = store.queryable().unwrap().query(query.clone()).await;
    let page = page.unwrap();
    assert_eq!(page.token.as_deref(), Some("more"));
    assert_eq!(page.items[0].etag, Some(Etag::from(7)));
    assert_eq!(
        served.recorder.seen(),
        [
            format!("{:?}", (operations, option())),
            format!("{query:?}")
        ]
    );
}

#[tokio::test]
async fn errors_come_back_with_their_kind_text_and_details() {
    let served = Served::start().await;
    let client = served.client().await;
    let store = client.open_state_store(&orders(), &option()).await.unwrap();
    for (name, expected) in errors() {
        let error = store.get(GetRequest::new(name)).await.unwrap_err();
        assert_eq!(error.kind(), expected.kind());
        assert_eq!(error.message(), expected.message());
        let details = match error.kind() {
            ErrorKind::EtagMismatch
            | ErrorKind::EtagInvalid
            | ErrorKind::BulkDeleteMismatch { .. }
            | ErrorKind::Runtime(_) => 1,
            _ => 0,
        };
        assert_eq!(error.wire().unwrap().details.len(), details, "{error:?}");
    }
    let panicked = store.get(GetRequest::new("panic")).await.unwrap_err();
    assert_eq!(*panicked.kind(), ErrorKind::Internal);
    assert!(panicked.message().contains("no such luck"), "{panicked}");
}

#[tokio::test]
async fn a_broker() {
    let served = Served::start().await;
    let client = served.client().await;
    let broker = client.open_pubsub(&orders(), &option()).await.unwrap();
    assert!(broker.claims().wildcards && !broker.claims().message_ttl);
    assert_eq!(broker.claims().other, ["ORDERED"]);

    let mut publication = Publication::new("orders", "1");
    publication.pubsub_name = "broker".to_owned();
    publication.metadata = option();
    broker.publish(publication.clone()).await.unwrap();
    let entries = ["good", "bad"].map(|id| BulkPublishEntry::new(id, "1"));
    let bulk = BulkPublication::new("orders", entries.to_vec());
    let publisher = broker.bulk_publisher().unwrap();
    let failed = publisher.bulk_publish(bulk.clone()).await.unwrap();
    let [failed] = &failed[..] else {
        panic!("expected one failure: {failed:?}");
    };
    assert_eq!((&*failed.entry_id, &*failed.error), ("bad", "too large"));
    assert_eq!(
        served.recorder.seen(),
        [format!("{publication:?}"), format!("{bulk:?}")]
    );
}

#[tokio::test]
async fn a_subscription() {
    let served = Served::start().await;
    let client = served.client().await;
    let broker = client.open_pubsub(&orders(), &option()).await.unwrap();
    let mut subscription = Subscription::new("orders");
    subscription.metadata = option();
    let (deliveries, mut consumer) = window(4, &Gate::new());
    let task = {
        let (broker, subscription) = (Arc::clone(&broker), subscription.clone());
        tokio::spawn(async move { broker.subscribe(subscription, deliveries).await })
    };
    let settler = consumer.settler();
    let mut last = 0;
    for number in 0..100 {
        let delivered = within("a message", consumer.next()).await.unwrap();
        assert_eq!(delivered.message.data, format!("message {number}"));
        let ack = match number {
            50 => Ack::Rejected("not today".to_owned()),
            99 => {
                last = delivered.id;
                continue;
            }
            _ => Ack::Accepted,
        };
        settler.settle(delivered.id, ack).unwrap();
    }
    served.recorder.has_seen("\"98 Accepted\"").await;
    served
        .recorder
        .has_seen("\"50 Rejected(\\\"not today\\\")\"")
        .await;
    let pausable = broker.pausable().unwrap();
    pausable.pause().await.unwrap();
    pausable.resume().await.unwrap();
    settler.settle(last, Ack::Abandoned).unwrap();
    drop(consumer);
    within("the end", task).await.unwrap().unwrap();
    served.recorder.has_seen("\"closed\"").await;
    let seen = served.recorder.seen();
    assert!(seen.contains(&"\"99 Abandoned\"".to_owned()), "{seen:?}");
    assert!(seen.contains(&format!("{subscription:?}")), "{seen:?}");
}

#[tokio::test]
async fn bindings() {
    let served = Served::start().await;
    let client = served.client().await;
    let source = client.open_input_binding(&orders(), &option()).await;
    let source = source.unwrap();
    let (events, mut consumer) = window(4, &Gate::new());
    let task = tokio::spawn(async move { source.read(events).await });
    let settler = consumer.settler();
    for reply in [
        Reply::Handled("done".into()),
        Reply::Failed("not today".to_owned()),
    ] {
        let delivered = within("an event", consumer.next()).await.unwrap();
        assert!(delivered.message.metadata.get("number").is_some());
        settler.settle(delivered.id, reply).unwrap();
    }
    let error = within("the end", task).await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("the source ran dry"), "{error}");
    assert_eq!(
        served.recorder.seen(),
        [
            "\"0 Handled(b\\\"done\\\")\"",
            "\"1 Failed(\\\"not today\\\")\""
        ]
    );

    let target = client.open_output_binding(&orders(), &option()).await;
    let target = target.unwrap();
    assert_eq!(target.operations(), ["create", "list"]);
    let mut request = InvokeRequest::new("create", "data");
    request.metadata = option();
    let response = target.invoke(request.clone()).await.unwrap();
    assert_eq!(
        (&*response.data, &response.metadata),
        (&b"data"[..], &option())
    );
    assert_eq!(response.content_type.as_deref(), Some("text/plain"));
    assert_eq!(served.recorder.seen()[2], format!("{request:?}"));
}

#[tokio::test]
async fn a_secret_store() {
    let served = Served::start().await;
    let client = served.client().await;
    let store = client.open_secret_store(&orders(), &option()).await;
    let store = store.unwrap();
    assert!(store.claims().multiple_keys);
    assert_eq!(store.claims().other, ["FAST"]);
    let mut request = GetSecretRequest::new("password");
    request.metadata = option();
    let secret = store.get(request.clone()).await.unwrap();
    assert_eq!(secret.get("password"), Some("1"));
    assert_eq!(secret.get("other"), Some("2"));
    let missing = store.get(GetSecretRequest::new("missing")).await;
    assert_eq!(*missing.unwrap_err().kind(), ErrorKind::NotFound);
    let all = store.bulk_get(option()).await.unwrap();
    assert_eq!(all, [("a".to_owned(), Secret::single("a", "1"))].into());
    let seen = served.recorder.seen();
    assert_eq!(seen[0], format!("{request:?}"));
    assert_eq!(seen[2], format!("{:?}", option()));
}
