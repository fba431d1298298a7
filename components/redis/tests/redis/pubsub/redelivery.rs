//! What comes again, and what does not.

use std::time::{Duration, Instant};

use dapr_pluggable::delivery::Ack;
use dapr_pluggable_testbed::{Redis, Subscriber, eventually, text};
use redis::Value;

use super::{eventually_unacknowledged, numbers, open, publish, unacknowledged};

/// Reads messages as a consumer of the group `app` that then stands still for so long.
async fn leave(redis: &Redis, topic: &str, count: usize, idle: u64) -> Vec<String> {
    let create = ["XGROUP", "CREATE", topic, "app", "0", "MKSTREAM"];
    let _: Result<(), _> = redis.try_command(&create).await;
    let count = count.to_string();
    let read = [
        "XREADGROUP",
        "GROUP",
        "app",
        "app",
        "COUNT",
        &count,
        "STREAMS",
        topic,
        ">",
    ];
    let _: Value = redis.command(&read).await;
    let pending = ["XPENDING", topic, "app", "-", "+", &count];
    let pending: Vec<(String, String, u64, u64)> = redis.command(&pending).await;
    let ids: Vec<String> = pending.into_iter().map(|(id, ..)| id).collect();
    let mut claim: Vec<String> = ["XCLAIM", topic, "app", "app", "0"].map(Into::into).into();
    claim.extend(ids.clone());
    claim.extend(["IDLE".to_owned(), idle.to_string(), "JUSTID".to_owned()]);
    let _: Value = redis.command(&claim).await;
    ids
}

#[tokio::test]
async fn what_consumers_have_left_is_taken_over_page_by_page() {
    let Some(redis) = Redis::start("what_consumers_have_left").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    for n in numbers(700) {
        publish(&pubsub, "t", &n).await;
    }
    leave(&redis, "t", 600, 60_000).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 16);
    let mut found = Vec::new();
    for _ in 0..700 {
        found.push(subscriber.accept().await.parse::<usize>().unwrap());
    }
    found.sort_unstable();
    assert_eq!(found, (0..700).collect::<Vec<_>>());
    eventually_unacknowledged(&redis, "t", 0).await;
}

#[tokio::test]
async fn what_is_deleted_is_skipped_and_forgotten() {
    let Some(redis) = Redis::start("what_is_deleted_is_skipped").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    for n in numbers(6) {
        publish(&pubsub, "t", &n).await;
    }
    let ids = leave(&redis, "t", 4, 60_000).await;
    let () = redis.command(&["XDEL", "t", &ids[1], &ids[2]]).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(subscriber.accept().await);
    }
    found.sort();
    assert_eq!(found, ["0", "3", "4", "5"]);
    eventually_unacknowledged(&redis, "t", 0).await;

    // Trimmed below a message that is being worked on: it is acknowledged like any other.
    publish(&pubsub, "t", "6").await;
    let held = subscriber.next().await;
    let () = redis.command(&["XTRIM", "t", "MAXLEN", "0"]).await;
    subscriber.answer(&held, Ack::Accepted);
    eventually_unacknowledged(&redis, "t", 0).await;
    publish(&pubsub, "t", "7").await;
    assert_eq!(subscriber.accept().await, "7");
}

#[tokio::test]
async fn a_rejected_message_is_over() {
    let Some(redis) = Redis::start("a_rejected_message_is_over").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    publish(&pubsub, "t", "x").await;
    assert_eq!(subscriber.reject().await, "x");
    eventually_unacknowledged(&redis, "t", 0).await;
}

#[tokio::test]
async fn a_rejected_message_comes_again_so_often_if_asked_for() {
    let Some(redis) = Redis::start("a_rejected_message_comes_again").await else {
        return;
    };
    let quick = [
        ("processingTimeout", "1s"),
        ("redeliverInterval", "50"),
        ("nackPolicy", "redeliver"),
        ("maxDeliveryCount", "3"),
    ];
    let pubsub = open(&redis, &quick).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    let begun = Instant::now();
    publish(&pubsub, "t", "x").await;
    for _ in 0..2 {
        assert_eq!(subscriber.reject().await, "x");
        assert_eq!(unacknowledged(&redis, "t").await, 1);
    }
    assert_eq!(subscriber.reject().await, "x");
    eventually_unacknowledged(&redis, "t", 0).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(subscriber.waiting().await, [""; 0]);
}

#[tokio::test]
async fn what_stands_still_comes_again_and_what_waits_its_turn_does_not() {
    let Some(redis) = Redis::start("what_stands_still_comes_again").await else {
        return;
    };
    let quick = [("processingTimeout", "2s"), ("redeliverInterval", "50ms")];
    let pubsub = open(&redis, &quick).await;
    let other = open(&redis, &quick).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    for n in numbers(8) {
        publish(&pubsub, "t", &n).await;
    }
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(subscriber.next().await);
    }
    let mut second = Subscriber::start(&other, "t", 8);
    let mut begun = Instant::now();
    // A slow application: all together take longer than one may take.
    for delivered in &held[..6] {
        let nothing = tokio::time::timeout(Duration::from_millis(500), second.next());
        assert!(nothing.await.is_err(), "another replica got one");
        begun = Instant::now();
        subscriber.answer(delivered, Ack::Accepted);
    }
    // Now it stands still. Whoever is first gets what it has.
    let mut again = Vec::new();
    for _ in 0..2 {
        let next = tokio::select! {
            next = subscriber.next() => { subscriber.answer(&next, Ack::Accepted); next }
            next = second.next() => { second.answer(&next, Ack::Accepted); next }
        };
        again.push(text(&next));
    }
    again.sort();
    assert_eq!(again, ["6", "7"]);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    eventually_unacknowledged(&redis, "t", 0).await;
}

#[tokio::test]
async fn the_end_of_a_stream_gives_back_what_it_had() {
    let Some(redis) = Redis::start("the_end_of_a_stream_gives_back").await else {
        return;
    };
    let long = [("processingTimeout", "1h"), ("redeliverInterval", "100ms")];
    let pubsub = open(&redis, &long).await;
    let other = open(&redis, &long).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 4);
    for n in numbers(4) {
        publish(&pubsub, "t", &n).await;
    }
    assert_eq!(subscriber.accept().await, "0");
    assert_eq!(subscriber.peek().await, "1");
    eventually_unacknowledged(&redis, "t", 3).await;
    let mut second = Subscriber::start(&other, "t", 4);
    let deliveries = async |id: usize| {
        let pending = ["XPENDING", "t", "app", "-", "+", "10"];
        let pending: Vec<(String, String, u64, i64)> = redis.command(&pending).await;
        pending[id].3
    };
    assert_eq!(deliveries(0).await, 1);
    subscriber.stop().await.unwrap();
    let mut again = Vec::new();
    for _ in 0..3 {
        let delivered = second.next().await;
        again.push(text(&delivered));
    }
    again.sort();
    assert_eq!(again, ["1", "2", "3"]);
    assert_eq!(deliveries(0).await, 2);
}

#[tokio::test]
async fn without_a_processing_timeout_nothing_comes_again() {
    let Some(redis) = Redis::start("without_a_processing_timeout").await else {
        return;
    };
    let pubsub = open(
        &redis,
        &[("processingTimeout", "0"), ("redeliverInterval", "10ms")],
    )
    .await;
    publish(&pubsub, "t", "left").await;
    leave(&redis, "t", 1, 60_000).await;
    publish(&pubsub, "t", "new").await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    assert_eq!(subscriber.accept().await, "new");
    eventually_unacknowledged(&redis, "t", 1).await;
    eventually("several looks would have been", async || {
        let pending = ["XPENDING", "t", "app", "-", "+", "10"];
        let pending: Vec<(String, String, u64, i64)> = redis.command(&pending).await;
        pending[0].2 > 60_200
    })
    .await;
    assert_eq!(subscriber.waiting().await, [""; 0]);
}
