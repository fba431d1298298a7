//! The broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublishEntry, PubSub, Publication, Subscription,
};
use dapr_pluggable::{ErrorKind, InstanceId, Metadata, Opener as _, Result};
use dapr_pluggable_testbed::{Subscriber, text};

use crate::folder::Folder;

async fn try_open(folder: &Folder, properties: &[(&str, &str)]) -> Result<Arc<dyn PubSub>> {
    let mut all = Metadata::from([
        ("connectionString", folder.database()),
        ("consumerID", "app".to_owned()),
    ]);
    for (key, value) in properties {
        all.insert(*key, *value);
    }
    dapr_component_sqlite::blocks()
        .open_pubsub(&InstanceId::new("pubsub"), &all)
        .await
}

pub(crate) async fn open(folder: &Folder, properties: &[(&str, &str)]) -> Arc<dyn PubSub> {
    try_open(folder, properties).await.unwrap()
}

async fn publish(pubsub: &Arc<dyn PubSub>, topic: &str, text: &str) {
    pubsub
        .publish(Publication::new(topic, text.to_owned()))
        .await
        .unwrap();
}

/// Waits until nothing of the queue is left: every message was settled by every group.
async fn is_empty(folder: &Folder) {
    folder.eventually("SELECT (SELECT count(*) FROM pubsub_messages) + (SELECT count(*) FROM pubsub_deliveries)", "0").await;
}

#[tokio::test]
async fn messages_wait_for_their_group_in_order_and_go_when_it_has_them() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    for n in 0..5 {
        publish(&pubsub, "orders", &n.to_string()).await;
    }
    publish(&pubsub, "other", "x").await;
    pubsub.close().await.unwrap();

    let pubsub = open(&folder, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "orders", 8);
    for n in 0..5 {
        assert_eq!(subscriber.accept().await, n.to_string());
    }
    publish(&pubsub, "orders", "5").await;
    assert_eq!(subscriber.accept().await, "5");
    folder
        .eventually("SELECT group_concat(topic) FROM pubsub_messages", "other")
        .await;
    subscriber.stop().await.unwrap();
}

#[tokio::test]
async fn bytes_metadata_and_content_type_arrive() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    let mut publication = Publication::new("t", &b"\x00\xff'"[..]);
    publication.metadata = Metadata::from([("rawPayload", "true"), ("k\"", "v\u{fc}")]);
    publication.content_type = Some("application/octet-stream".to_owned());
    pubsub.publish(publication.clone()).await.unwrap();
    let message = Subscriber::start(&pubsub, "t", 1).next().await.message;
    assert_eq!(message.topic, "t");
    assert_eq!(message.data, publication.data);
    assert_eq!(message.metadata, publication.metadata);
    assert_eq!(message.content_type, publication.content_type);

    let error = pubsub.publish(Publication::new("", "x")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn every_group_gets_every_message_and_each_subscriber_others() {
    let folder = Folder::new();
    let shop = open(&folder, &[("consumerID", "shop")]).await;
    let mail = open(&folder, &[("consumerID", "mail")]).await;
    let mut one = Subscriber::start(&shop, "t", 1);
    let mut two = Subscriber::start(&shop, "t", 1);
    for n in 0..4 {
        publish(&mail, "t", &n.to_string()).await;
    }
    // Windows of one: each of the two has one, and neither has the other's.
    let mut first = [one.peek().await, two.peek().await];
    first.sort();
    assert_eq!(first, ["0", "1"]);
    one.stop().await.unwrap();
    two.stop().await.unwrap();

    // The other group comes late and still finds the oldest; the first has settled nothing.
    let mut all = Subscriber::start(&mail, "t", 8);
    for n in 0..4 {
        assert_eq!(all.accept().await, n.to_string());
    }
    let mut rest = Subscriber::start(&shop, "t", 8);
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(rest.accept().await);
    }
    texts.sort();
    assert_eq!(texts, ["0", "1", "2", "3"]);
    is_empty(&folder).await;
}

#[tokio::test]
async fn what_is_claimed_fits_the_window() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    for n in 0..10 {
        publish(&pubsub, "t", &n.to_string()).await;
    }
    let mut subscriber = Subscriber::start(&pubsub, "t", 3);
    let first = subscriber.next().await;
    assert_eq!(
        [subscriber.peek().await, subscriber.peek().await],
        ["1", "2"]
    );
    assert_eq!(
        folder.sqlite3("SELECT count(*) FROM pubsub_deliveries"),
        "3"
    );
    assert!(subscriber.waiting().await.is_empty());
    subscriber.answer(&first, Ack::Accepted);
    assert_eq!(subscriber.peek().await, "3");
    subscriber.stop().await.unwrap();

    // What was not answered comes first for the next subscriber, at once, and has not cost an attempt.
    assert_eq!(
        folder.sqlite3("SELECT DISTINCT attempts, owner IS NULL FROM pubsub_deliveries"),
        "0|1"
    );
    let mut next = Subscriber::start(&pubsub, "t", 64);
    for n in 1..10 {
        assert_eq!(next.accept().await, n.to_string());
    }
    is_empty(&folder).await;
}

#[tokio::test]
async fn a_dropped_subscription_gives_its_messages_back() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    publish(&pubsub, "t", "1").await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(subscriber.peek().await, "1");
    drop(subscriber);
    assert_eq!(Subscriber::start(&pubsub, "t", 1).accept().await, "1");
}

#[tokio::test]
async fn a_rejected_message_comes_again_and_holds_nothing_up() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[("redeliverInterval", "300ms")]).await;
    publish(&pubsub, "t", "bad").await;
    publish(&pubsub, "t", "good").await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    let begun = Instant::now();
    assert_eq!(subscriber.reject().await, "bad");
    assert_eq!(subscriber.accept().await, "good");
    assert_eq!(subscriber.reject().await, "bad");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(subscriber.accept().await, "bad");
    is_empty(&folder).await;
}

#[tokio::test]
async fn a_message_too_often_rejected_goes_to_the_dead_letter_topic() {
    let folder = Folder::new();
    let properties = [
        ("redeliverInterval", "0"),
        ("maxDeliveryCount", "3"),
        ("deadLetterTopic", "dead"),
    ];
    let pubsub = open(&folder, &properties).await;
    let mut publication = Publication::new("t", "bad");
    publication.metadata = Metadata::from([("k", "v")]);
    pubsub.publish(publication).await.unwrap();
    let mut dead = Subscriber::start(&pubsub, "dead", 1);
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    for _ in 0..3 {
        assert_eq!(subscriber.reject().await, "bad");
    }
    publish(&pubsub, "t", "next").await;
    assert_eq!(subscriber.accept().await, "next");

    // On the dead-letter topic there is no limit.
    for _ in 0..5 {
        assert_eq!(dead.reject().await, "bad");
    }
    let delivered = dead.next().await;
    assert_eq!(delivered.message.topic, "dead");
    assert_eq!(delivered.message.metadata.get("k"), Some("v"));
    dead.answer(&delivered, Ack::Accepted);
    is_empty(&folder).await;
}

#[tokio::test]
async fn a_message_is_dropped_only_where_that_was_said() {
    let folder = Folder::new();
    let properties = [
        ("redeliverInterval", "0"),
        ("maxDeliveryCount", "2"),
        ("onMaxDelivery", "drop"),
    ];
    let pubsub = open(&folder, &properties).await;
    publish(&pubsub, "t", "bad").await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(
        [subscriber.reject().await, subscriber.reject().await],
        ["bad", "bad"]
    );
    is_empty(&folder).await;

    let error = try_open(&folder, &[("maxDeliveryCount", "2")])
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
}

#[tokio::test]
async fn a_subscriber_that_stands_still_loses_its_message_and_an_attempt() {
    let folder = Folder::new();
    let properties = [
        ("visibilityTimeout", "400ms"),
        ("maxDeliveryCount", "2"),
        ("deadLetterTopic", "dead"),
    ];
    let pubsub = open(&folder, &properties).await;
    publish(&pubsub, "t", "slow").await;
    let mut stuck = Subscriber::start(&pubsub, "t", 1);
    let kept = stuck.next().await;
    let mut other = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(other.peek().await, "slow");
    // The second time-out was the last.
    let mut dead = Subscriber::start(&pubsub, "dead", 1);
    assert_eq!(dead.accept().await, "slow");
    // An answer that late is no error.
    stuck.answer(&kept, Ack::Accepted);
    is_empty(&folder).await;
}

#[tokio::test]
async fn a_live_stream_keeps_its_messages() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[("visibilityTimeout", "600ms")]).await;
    for n in 0..6 {
        publish(&pubsub, "t", &n.to_string()).await;
    }
    // One stream handles six messages one after the other, 300 ms each: the last waits three times the time-out in the
    // window, and still belongs to the stream, as every answer shows that it is alive.
    let mut slow = Subscriber::start(&pubsub, "t", 6);
    let mut messages = Vec::new();
    for _ in 0..6 {
        messages.push(slow.next().await);
    }
    let mut other = Subscriber::start(&pubsub, "t", 6);
    for message in &messages {
        tokio::time::sleep(Duration::from_millis(300)).await;
        slow.answer(message, Ack::Accepted);
    }
    is_empty(&folder).await;
    assert!(other.waiting().await.is_empty());
}

#[tokio::test]
async fn the_claims_of_a_lost_process_run_out() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    publish(&pubsub, "t", "1").await;
    // What a process leaves that was killed with a message in its hands.
    folder.sqlite3(
        "INSERT INTO pubsub_groups (topic, name, position) VALUES ('t', 'app', 1);
         INSERT INTO pubsub_deliveries SELECT id, 1, 1, CAST((julianday('now') - 2440587.5) * 86400000 + 500 AS INTEGER), 'lost' FROM pubsub_groups;",
    );
    let begun = Instant::now();
    assert_eq!(Subscriber::start(&pubsub, "t", 1).accept().await, "1");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn messages_expire() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[("cleanupInterval", "100ms")]).await;
    assert!(pubsub.claims().message_ttl);
    let with_ttl = |text: &str, ttl: &str| {
        let mut publication = Publication::new("t", text.to_owned());
        publication.metadata = Metadata::from([("ttlInSeconds", ttl)]);
        publication
    };
    for (text, ttl) in [("short", "1"), ("long", "100"), ("kept", "-1")] {
        pubsub.publish(with_ttl(text, ttl)).await.unwrap();
    }
    let error = pubsub.publish(with_ttl("x", "soon")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    assert!(error.message().contains("soon"), "{error}");
    folder
        .eventually("SELECT count(*) FROM pubsub_messages", "2")
        .await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(
        [subscriber.accept().await, subscriber.accept().await],
        ["long", "kept"]
    );
    is_empty(&folder).await;
    pubsub.close().await.unwrap();

    // Seen expired by a claim, not by the clean-up.
    let pubsub = open(&folder, &[]).await;
    publish(&pubsub, "t", "past").await;
    publish(&pubsub, "t", "present").await;
    folder.sqlite3("UPDATE pubsub_messages SET expires_at = 1 WHERE data = CAST('past' AS BLOB)");
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(subscriber.accept().await, "present");
    is_empty(&folder).await;
}

#[tokio::test]
async fn a_topic_without_a_group_keeps_messages_for_a_time() {
    let folder = Folder::new();
    let pubsub = open(
        &folder,
        &[("retention", "1h"), ("cleanupInterval", "100ms")],
    )
    .await;
    for topic in ["lonely", "grouped"] {
        publish(&pubsub, topic, "old").await;
        publish(&pubsub, topic, "new").await;
    }
    let subscriber = Subscriber::start(&pubsub, "grouped", 1);
    folder
        .eventually("SELECT count(*) FROM pubsub_groups", "1")
        .await;
    subscriber.stop().await.unwrap();
    folder.sqlite3("UPDATE pubsub_messages SET published_at = published_at - 3601000 WHERE data = CAST('old' AS BLOB)");
    let left = "SELECT group_concat(topic || ' ' || CAST(data AS TEXT), ', ') FROM (SELECT * FROM pubsub_messages ORDER BY id)";
    folder
        .eventually(left, "lonely new, grouped old, grouped new")
        .await;

    // A group that is removed takes nothing with it that another needs, and leaves nothing behind.
    folder.sqlite3(
        "INSERT INTO pubsub_groups (topic, name, position) VALUES ('grouped', 'done', 1000);
                    DELETE FROM pubsub_groups WHERE name = 'app'",
    );
    folder.eventually(left, "lonely new").await;
}

#[tokio::test]
async fn a_bulk_is_one_transaction_in_order() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[]).await;
    let mut entries: Vec<_> = (0..300)
        .map(|n| BulkPublishEntry::new(n.to_string(), n.to_string()))
        .collect();
    entries[5].metadata = Metadata::from([("ttlInSeconds", "soon")]);
    entries[6].metadata = Metadata::from([("ttlInSeconds", "0")]);
    let mut publication = BulkPublication::new("t", entries);
    publication.metadata = Metadata::from([("ttlInSeconds", "100")]);
    let publisher = pubsub.bulk_publisher().unwrap();
    let failed = publisher.bulk_publish(publication).await.unwrap();
    let ids: Vec<_> = failed.iter().map(|entry| entry.entry_id.as_str()).collect();
    assert_eq!(ids, ["5"]);
    assert_eq!(
        folder.sqlite3("SELECT count(*), count(expires_at) FROM pubsub_messages"),
        "299|298"
    );
    let mut subscriber = Subscriber::start(&pubsub, "t", 64);
    for n in (0..300).filter(|n| *n != 5) {
        assert_eq!(subscriber.accept().await, n.to_string());
    }
    assert_eq!(
        publisher
            .bulk_publish(BulkPublication::new("t", Vec::new()))
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn a_full_disk_takes_no_half_of_a_bulk() {
    let folder = Folder::new();
    let connection = format!("{}?_pragma=max_page_count(64)", folder.database());
    let pubsub = open(&folder, &[("connectionString", &connection)]).await;
    let entries = (0..10).map(|n| BulkPublishEntry::new(n.to_string(), "x".repeat(50_000)));
    let publication = BulkPublication::new("t", entries.collect());
    let error = pubsub
        .bulk_publisher()
        .unwrap()
        .bulk_publish(publication)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled);
    assert!(error.message().contains("disk is full"), "{error}");
    assert_eq!(folder.sqlite3("SELECT count(*) FROM pubsub_messages"), "0");
    publish(&pubsub, "t", "small").await;
    assert_eq!(Subscriber::start(&pubsub, "t", 1).accept().await, "small");
}

#[tokio::test]
async fn a_lock_does_not_end_a_subscription() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[("busyTimeout", "50ms")]).await;
    publish(&pubsub, "t", "1").await;
    let lock = folder.lock().await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    // The claim has failed at least once when a publish after it has.
    let error = pubsub
        .publish(Publication::new("t", "2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    lock.release().await;
    let delivered = subscriber.next().await;
    // Nor does a lock lose an answer.
    let lock = folder.lock().await;
    subscriber.answer(&delivered, Ack::Accepted);
    let error = pubsub
        .publish(Publication::new("t", "3"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    lock.release().await;
    is_empty(&folder).await;
    subscriber.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_in_memory_works_as_well() {
    let folder = Folder::new();
    let name = format!("file:{}?mode=memory", uuid::Uuid::new_v4());
    let one = open(&folder, &[("connectionString", &name)]).await;
    let two = open(
        &folder,
        &[("connectionString", &name), ("consumerID", "two")],
    )
    .await;
    let mut first = Subscriber::start(&one, "t", 4);
    let mut second = Subscriber::start(&two, "t", 4);
    for n in 0..20 {
        let publisher = if n % 2 == 0 { &one } else { &two };
        publish(publisher, "t", &n.to_string()).await;
        // A message that a group has handled is gone for groups that come later, so both must have it first.
        let (mine, other) = (first.next().await, second.next().await);
        assert_eq!([text(&mine), text(&other)], [n.to_string(), n.to_string()]);
        first.answer(&mine, Ack::Accepted);
        second.answer(&other, Ack::Accepted);
    }
}

#[tokio::test]
async fn state_and_messages_share_a_file() {
    let folder = Folder::new();
    let pubsub = open(&folder, &[("tablePrefix", "q_")]).await;
    let store = crate::state::open_file(&folder).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 4);
    for n in 0..20 {
        let key = n.to_string();
        let set = dapr_pluggable::state::SetRequest::new(&key, key.clone());
        let (set, publish) = tokio::join!(
            store.set(set),
            pubsub.publish(Publication::new("t", key.clone()))
        );
        set.unwrap();
        publish.unwrap();
        assert_eq!(subscriber.accept().await, key);
        assert_eq!(crate::state::value(&store, &key).await.unwrap(), key);
    }
    subscriber.stop().await.unwrap();
    let error = pubsub
        .subscribe(
            Subscription::new(""),
            dapr_pluggable::delivery::window(1, &Default::default()).0,
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
}
