//! What is delivered.

use std::time::Duration;

use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::Subscription;
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::{Redis, Subscriber, eventually, text, within};

use super::{eventually_unacknowledged, numbers, open, publish, unacknowledged};

#[tokio::test]
async fn a_group_begins_at_the_oldest_message_and_goes_on_where_it_was() {
    let Some(redis) = Redis::start("a_group_begins_at_the_oldest_message").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    for n in numbers(200) {
        publish(&pubsub, "t", &n).await;
    }
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    for n in numbers(200) {
        assert_eq!(subscriber.accept().await, n);
    }
    eventually_unacknowledged(&redis, "t", 0).await;
    subscriber.stop().await.unwrap();
    pubsub.close().await.unwrap();

    let pubsub = open(&redis, &[]).await;
    publish(&pubsub, "t", "next").await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    assert_eq!(subscriber.accept().await, "next");
    let other = open(&redis, &[("consumerID", "other")]).await;
    let mut other = Subscriber::start(&other, "t", 8);
    assert_eq!(other.accept().await, "0");
    // Acknowledged messages stay on the stream.
    assert_eq!(redis.command::<usize>(&["XLEN", "t"]).await, 201);
}

#[tokio::test]
async fn entries_of_every_form_are_delivered() {
    let Some(redis) = Redis::start("entries_of_every_form").await else {
        return;
    };
    for fields in [
        ["other", "x", "metadata", r#"{"k":"v"}"#],
        ["data", "a", "metadata", "not json"],
        ["metadata", "{}", "data", "b"],
    ] {
        let mut command = vec!["XADD", "t", "*"];
        command.extend(fields);
        let () = redis.command(&command).await;
    }
    let pubsub = open(&redis, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    for (data, metadata) in [
        ("", Metadata::from([("k", "v")])),
        ("a", Metadata::new()),
        ("b", Metadata::new()),
    ] {
        let delivered = subscriber.next().await;
        subscriber.answer(&delivered, Ack::Accepted);
        let message = delivered.message;
        assert_eq!((&*message.topic, &*message.data), ("t", data.as_bytes()));
        assert_eq!(message.metadata, metadata);
        assert_eq!(message.content_type, None);
    }
}

#[tokio::test]
async fn no_more_is_read_than_there_is_room_for() {
    let Some(redis) = Redis::start("no_more_is_read_than_there_is_room_for").await else {
        return;
    };
    let pubsub = open(&redis, &[("redeliverInterval", "20ms")]).await;
    for n in numbers(20) {
        publish(&pubsub, "t", &n).await;
    }
    let mut subscriber = Subscriber::start(&pubsub, "t", 3);
    let mut held = Vec::new();
    for n in numbers(3) {
        let delivered = subscriber.next().await;
        assert_eq!(text(&delivered), n);
        held.push(delivered);
    }
    subscriber.answer(&held[1], Ack::Accepted);
    assert_eq!(subscriber.peek().await, "3");
    eventually_unacknowledged(&redis, "t", 3).await;
    assert_eq!(subscriber.waiting().await, [""; 0]);
}

#[tokio::test]
async fn concurrency_counts_over_all_subscriptions_and_1_keeps_order() {
    let Some(redis) = Redis::start("concurrency_counts_over_all_subscriptions").await else {
        return;
    };
    let pubsub = open(&redis, &[("concurrency", "1")]).await;
    for n in numbers(10) {
        publish(&pubsub, "a", &n).await;
    }
    let mut a = Subscriber::start(&pubsub, "a", 64);
    let first = a.next().await;
    publish(&pubsub, "b", "b").await;
    let mut b = Subscriber::start(&pubsub, "b", 64);
    // Read, so that it would be delivered if there were a place.
    eventually_unacknowledged(&redis, "b", 1).await;
    assert_eq!(b.waiting().await, [""; 0]);
    assert_eq!(a.waiting().await, [""; 0]);
    a.answer(&first, Ack::Accepted);
    // It has waited longer.
    assert_eq!(a.accept().await, "1");
    assert_eq!(b.accept().await, "b");
    for n in &numbers(10)[2..] {
        eventually("one is delivered and one is read", async || {
            unacknowledged(&redis, "a").await <= 2
        })
        .await;
        assert_eq!(&a.accept().await, n);
    }
    eventually_unacknowledged(&redis, "a", 0).await;
}

#[tokio::test]
async fn a_group_that_is_gone_is_made_again() {
    let Some(redis) = Redis::start("a_group_that_is_gone").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    publish(&pubsub, "t", "first").await;
    assert_eq!(subscriber.accept().await, "first");
    for (n, command) in [
        &["FLUSHALL"][..],
        &["DEL", "t"],
        &["XGROUP", "DESTROY", "t", "app"],
    ]
    .into_iter()
    .enumerate()
    {
        let () = redis.command(command).await;
        // A stream that is there still has what was acknowledged, and a new group begins with it.
        let again = format!("after {n}");
        publish(&pubsub, "t", &again).await;
        while subscriber.accept().await != again {}
    }
    eventually_unacknowledged(&redis, "t", 0).await;
    // What was in hand when everything went away is answered without harm.
    publish(&pubsub, "t", "held").await;
    let held = subscriber.next().await;
    let () = redis.command(&["FLUSHALL"]).await;
    subscriber.answer(&held, Ack::Accepted);
    publish(&pubsub, "t", "last").await;
    assert_eq!(subscriber.accept().await, "last");
    subscriber.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_stream_cannot_be_subscribed_to() {
    let Some(redis) = Redis::start("what_is_no_stream").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let () = redis.command(&["SET", "text", "x"]).await;
    for (topic, kind, expected) in [
        ("text", ErrorKind::Internal, "WRONGTYPE"),
        ("", ErrorKind::InvalidRequest, "missing topic"),
    ] {
        let (deliveries, _consumer) =
            dapr_pluggable::delivery::window(1, &dapr_pluggable::delivery::Gate::new());
        let subscribe = pubsub.subscribe(Subscription::new(topic), deliveries);
        let error = within("the end of a subscription", subscribe)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_stream_ends_at_once() {
    let Some(redis) = Redis::start("a_stream_ends_at_once").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let subscriber = Subscriber::start(&pubsub, "t", 8);
    eventually("a reader waits", async || {
        let clients: String = redis.command(&["CLIENT", "LIST"]).await;
        clients.contains("cmd=xreadgroup")
    })
    .await;
    let begun = std::time::Instant::now();
    subscriber.stop().await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
