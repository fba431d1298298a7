//! Several processes of the component in one group.

use std::collections::BTreeSet;
use std::time::Duration;

use dapr_pluggable::delivery::Ack;
use dapr_pluggable_testbed::Redis;

use super::{eventually_unacknowledged, metadata, numbers, open, publish};
use crate::program::Program;
use crate::subscriber::{Subscriber, text};

#[tokio::test]
async fn a_slow_application_gets_nothing_twice_beside_another_replica() {
    let Some(redis) = Redis::start("a_slow_application_gets_nothing_twice").await else {
        return;
    };
    let properties = metadata(
        &redis,
        &[
            ("processingTimeout", "900ms"),
            ("redeliverInterval", "100ms"),
        ],
    );
    let (one, two) = (Program::start().await, Program::start().await);
    let brokers = [one.pubsub(&properties).await, two.pubsub(&properties).await];
    for n in numbers(20) {
        publish(&brokers[0], "t", &n).await;
    }
    let subscribers = brokers.map(|broker| Subscriber::start(&broker, "t", 64));
    // One after the other, as a runtime does; together they take several times the time that one may take.
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
    assert_eq!((found.len(), unique.len()), (20, 20), "{found:?}");
    eventually_unacknowledged(&redis, "t", 0).await;
}

#[tokio::test]
async fn what_a_killed_process_had_comes_to_another() {
    let Some(redis) = Redis::start("what_a_killed_process_had").await else {
        return;
    };
    let properties = metadata(
        &redis,
        &[
            ("processingTimeout", "500ms"),
            ("redeliverInterval", "50ms"),
        ],
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
        &[
            ("processingTimeout", "500ms"),
            ("redeliverInterval", "50ms"),
        ],
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
