//! Several processes of the component in one group.

use std::collections::BTreeSet;
use std::time::Duration;

use dapr_pluggable::delivery::Ack;
use dapr_pluggable_testbed::{Redis, Signal, Subscriber, eventually, text};

use super::{eventually_unacknowledged, metadata, numbers, open, publish, unacknowledged};
use crate::program::Program;

#[tokio::test]
async fn a_slow_application_gets_nothing_twice_beside_another_replica() {
    let Some(redis) = Redis::start("a_slow_application_gets_nothing_twice").await else {
        return;
    };
    let properties = metadata(
        &redis,
        &[("processingTimeout", "2s"), ("redeliverInterval", "100ms")],
    );
    let (one, two) = (Program::start().await, Program::start().await);
    let brokers = [one.pubsub(&properties).await, two.pubsub(&properties).await];
    for n in numbers(40) {
        publish(&brokers[0], "t", &n).await;
    }
    let subscribers = brokers.map(|broker| Subscriber::start(&broker, "t", 64));
    // One after the other, as a runtime does; together they take longer than one may take.
    let working = subscribers.map(|mut subscriber| async move {
        let mut found = Vec::new();
        while let Ok(delivered) =
            tokio::time::timeout(Duration::from_secs(2), subscriber.next()).await
        {
            tokio::time::sleep(Duration::from_millis(150)).await;
            subscriber.answer(&delivered, Ack::Accepted);
            found.push(text(&delivered));
        }
        found
    });
    let found = futures::future::join_all(working).await.concat();
    let unique: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (40, 40), "{found:?}");
    eventually_unacknowledged(&redis, "t", 0).await;
}

#[tokio::test]
async fn a_group_that_goes_while_messages_are_in_hand_has_no_claims_to_renew() {
    let Some(redis) = Redis::start("a_group_that_goes_while_messages_are_in_hand").await else {
        return;
    };
    let program = Program::start().await;
    let short = [("processingTimeout", "3s"), ("deliveryWindow", "1")];
    let broker = program.pubsub(&metadata(&redis, &short)).await;
    publish(&broker, "t", "held").await;
    let mut subscriber = Subscriber::start(&broker, "t", 1);
    let held = subscriber.next().await;
    let () = redis.command(&["FLUSHALL"]).await;
    // The window is full, so nobody reads and makes the group again.
    eventually("a renewal finds no group", async || {
        let calls: String = redis.command(&["INFO", "commandstats"]).await;
        let mut lines = calls.lines();
        let claims = lines.find(|line| line.starts_with("cmdstat_xclaim:"));
        claims.is_some_and(|line| !line.trim().ends_with("failed_calls=0"))
    })
    .await;
    subscriber.answer(&held, Ack::Accepted);
    publish(&broker, "t", "next").await;
    assert_eq!(subscriber.accept().await, "next");
    let log = program.process().log();
    assert!(!log.contains("cannot renew"), "{log}");
}

#[tokio::test]
async fn what_a_killed_process_had_comes_to_another() {
    let Some(redis) = Redis::start("what_a_killed_process_had").await else {
        return;
    };
    let properties = metadata(
        &redis,
        &[("processingTimeout", "1s"), ("redeliverInterval", "50ms")],
    );
    let program = Program::start().await;
    let broker = program.pubsub(&properties).await;
    for n in numbers(8) {
        publish(&broker, "t", &n).await;
    }
    let mut subscriber = Subscriber::start(&broker, "t", 64);
    assert_eq!(subscriber.accept().await, "0");
    assert_eq!(subscriber.peek().await, "1");
    eventually_unacknowledged(&redis, "t", 7).await;
    program.kill().await;
    let broker = open(
        &redis,
        &[("processingTimeout", "1s"), ("redeliverInterval", "50ms")],
    )
    .await;
    let mut subscriber = Subscriber::start(&broker, "t", 64);
    let mut found = BTreeSet::new();
    for _ in 0..7 {
        found.insert(subscriber.accept().await);
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), numbers(8)[1..]);
}

#[tokio::test]
async fn a_process_that_is_told_to_stop_acknowledges_what_was_accepted_and_gives_back_the_rest() {
    let Some(redis) = Redis::start("a_process_that_is_told_to_stop").await else {
        return;
    };
    let long = [("processingTimeout", "1h"), ("redeliverInterval", "50ms")];
    // How long it waits for its callers to leave, who do not.
    let mut program = Program::start_with(&[("PLUGGABLE_SHUTDOWN_LINGER", "2s")]).await;
    let broker = program.pubsub(&metadata(&redis, &long)).await;
    for n in numbers(8) {
        publish(&broker, "t", &n).await;
    }
    let mut subscriber = Subscriber::start(&broker, "t", 64);
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(subscriber.next().await);
    }
    for delivered in &held[..3] {
        subscriber.answer(delivered, Ack::Accepted);
    }
    program.process().signal(Signal::TERM);
    program.process().says("stopping").await;
    subscriber.answer(&held[3], Ack::Accepted);
    eventually_unacknowledged(&redis, "t", 4).await;
    program.stop().await;
    assert_eq!(unacknowledged(&redis, "t").await, 4);
    // An hour has not gone by.
    let broker = open(&redis, &long).await;
    let mut subscriber = Subscriber::start(&broker, "t", 64);
    let mut found = BTreeSet::new();
    for _ in 0..4 {
        found.insert(subscriber.accept().await);
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), numbers(8)[4..]);
}

#[tokio::test]
async fn memory_stays_within_the_window() {
    let Some(redis) = Redis::start("memory_stays_within_the_window").await else {
        return;
    };
    const MESSAGES: usize = 100_000;
    const WINDOW: usize = 64;
    let data = "x".repeat(1024);
    // A hundred at a time: a server that is long at one command answers nobody meanwhile.
    let fill = "for n = 1, 100 do redis.call('XADD', KEYS[1], '*', 'data', ARGV[1]) end";
    for _ in 0..MESSAGES / 100 {
        let () = redis.command(&["EVAL", fill, "1", "t", &data]).await;
    }
    let program = Program::start().await;
    let broker = program.pubsub(&metadata(&redis, &[])).await;
    let mut subscriber = Subscriber::start(&broker, "t", WINDOW);
    let first = subscriber.next().await;
    subscriber.answer(&first, Ack::Accepted);
    let before = program.process().memory("VmRSS");
    // A slow application: it lets the window fill up before it answers.
    let mut taken = 1;
    while taken < MESSAGES {
        let mut burst = Vec::new();
        for _ in 0..WINDOW.min(MESSAGES - taken) {
            burst.push(subscriber.next().await);
        }
        taken += burst.len();
        for delivered in &burst {
            subscriber.answer(delivered, Ack::Accepted);
        }
    }
    let most = program.process().memory("VmHWM");
    eventually_unacknowledged(&redis, "t", 0).await;
    // All messages are 100 MB.
    assert!(
        most < before + (16 << 20),
        "{before} at first, {most} at most"
    );
}
