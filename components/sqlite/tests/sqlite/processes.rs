//! Several processes on one file, and processes that are killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::{PubSub, Publication};
use dapr_pluggable::state::{Concurrency, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Error, ErrorKind};
use dapr_pluggable_testbed::{Subscriber, eventually, rounds, text};
use futures::future::join_all;
use tokio::task::JoinSet;

use crate::folder::Folder;
use crate::program::Program;
use crate::state::value;

const WRITERS: usize = 16;

fn number(text: &[u8]) -> u32 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// Counts in keys, one a writer, until the store fails; what was acknowledged last stands in `acknowledged`.
fn count(store: &Arc<dyn StateStore>, acknowledged: &[Arc<AtomicU32>]) -> JoinSet<Error> {
    let mut writers = JoinSet::new();
    for (writer, acknowledged) in acknowledged.iter().enumerate() {
        let (store, acknowledged) = (Arc::clone(store), Arc::clone(acknowledged));
        writers.spawn(async move {
            loop {
                let next = acknowledged.load(Ordering::Relaxed) + 1;
                let request = SetRequest::new(format!("k{writer}"), next.to_string());
                if let Err(error) = store.set(request).await {
                    return error;
                }
                acknowledged.store(next, Ordering::Relaxed);
            }
        });
    }
    writers
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_kill() {
    let folder = Folder::new();
    let acknowledged: Vec<Arc<AtomicU32>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let total = || -> u32 { acknowledged.iter().map(|n| n.load(Ordering::Relaxed)).sum() };
    for round in 0..rounds(3) {
        let program = Program::start(&folder).await;
        let store = program.state_store().await;
        let writers = count(&store, &acknowledged);
        let enough = total() + 100 + 37 * (round % 10);
        eventually("writes", async || total() >= enough).await;
        program.kill().await;
        for error in writers.join_all().await {
            assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
        }

        assert_eq!(folder.sqlite3("PRAGMA integrity_check"), "ok");
        let program = Program::start(&folder).await;
        let store = program.state_store().await;
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let stored = number(&value(&store, &format!("k{writer}")).await.unwrap());
            let known = acknowledged.load(Ordering::Relaxed);
            // The last one may have been on its way: done, but not acknowledged.
            assert!(
                (known..=known + 1).contains(&stored),
                "{stored}, not {known}"
            );
            acknowledged.store(stored, Ordering::Relaxed);
        }
        program.kill().await;
    }
}

/// Publishes numbers, each once, until the broker fails; gives those that were acknowledged.
fn publish(pubsub: &Arc<dyn PubSub>, next: &Arc<AtomicU32>) -> JoinSet<Vec<u32>> {
    let mut publishers = JoinSet::new();
    for _ in 0..WRITERS {
        let (pubsub, next) = (Arc::clone(pubsub), Arc::clone(next));
        publishers.spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let publication = Publication::new("t", number.to_string());
                if pubsub.publish(publication).await.is_err() {
                    return acknowledged;
                }
                acknowledged.push(number);
            }
        });
    }
    publishers
}

#[tokio::test]
async fn an_acknowledged_message_survives_kills_of_publisher_and_subscriber() {
    let folder = Folder::new();
    let quick = [("visibilityTimeout", "500ms")];
    let next = Arc::new(AtomicU32::new(0));
    let (mut acknowledged, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..rounds(3) {
        let publisher = Program::start(&folder).await;
        let pubsub = publisher.pubsub(&quick).await;
        let publishers = publish(&pubsub, &next);
        let subscribing = Program::start(&folder).await;
        let broker = subscribing.pubsub(&quick).await;
        let mut subscriber = Subscriber::start(&broker, "t", 8);
        for _ in 0..50 + 13 * (round % 10) {
            accepted.insert(subscriber.accept().await.parse().unwrap());
        }
        // Some are in its hands when it goes.
        subscriber.peek().await;
        subscribing.kill().await;
        publisher.kill().await;
        acknowledged.extend(publishers.join_all().await.into_iter().flatten());
        assert_eq!(folder.sqlite3("PRAGMA integrity_check"), "ok");
    }

    let program = Program::start(&folder).await;
    let pubsub = program.pubsub(&quick).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 64);
    while !acknowledged.is_subset(&accepted) {
        accepted.insert(subscriber.accept().await.parse().unwrap());
    }
    assert!(accepted.last().unwrap() < &next.load(Ordering::Relaxed));
}

#[tokio::test]
async fn two_processes_do_not_overwrite_one_another() {
    let folder = Folder::new();
    let programs = [Program::start(&folder).await, Program::start(&folder).await];
    let stores = [
        programs[0].state_store().await,
        programs[1].state_store().await,
    ];
    let counting = (0..8).map(|writer| {
        let store = Arc::clone(&stores[writer % 2]);
        async move {
            let mut won = 0;
            while won < 10 {
                let current = store.get(GetRequest::new("all")).await.unwrap();
                let count = current.as_ref().map_or(0, |entry| number(&entry.value));
                let mut request = SetRequest::new("all", (count + 1).to_string());
                request.etag = current.and_then(|entry| entry.etag);
                request.concurrency = Concurrency::FirstWrite;
                match store.set(request).await {
                    Ok(()) => won += 1,
                    Err(error) => assert_eq!(error.kind(), &ErrorKind::EtagMismatch, "{error}"),
                }
            }
        }
    });
    join_all(counting).await;
    assert_eq!(value(&stores[0], "all").await.unwrap(), "80");
}

#[tokio::test]
async fn a_publish_wakes_the_subscribers_of_another_process() {
    let folder = Folder::new();
    let programs = [Program::start(&folder).await, Program::start(&folder).await];
    let publisher = programs[0].pubsub(&[]).await;
    let broker = programs[1].pubsub(&[]).await;
    let mut subscriber = Subscriber::start(&broker, "t", 1);
    let mut waits = Vec::new();
    for n in 0..20 {
        let begun = Instant::now();
        let publication = Publication::new("t", n.to_string());
        publisher.publish(publication).await.unwrap();
        assert_eq!(subscriber.accept().await, n.to_string());
        waits.push(begun.elapsed());
    }
    // The quickest quarter: the machine may have other things to do.
    waits.sort_unstable();
    assert!(waits[5] < Duration::from_millis(50), "{waits:?}");
}

#[tokio::test]
async fn the_subscribers_of_a_group_in_two_processes_share_its_messages() {
    let folder = Folder::new();
    let programs = [Program::start(&folder).await, Program::start(&folder).await];
    let one = [("deliveryWindow", "1")];
    let brokers = [
        programs[0].pubsub(&one).await,
        programs[1].pubsub(&one).await,
    ];
    let mut subscribers = [
        Subscriber::start(&brokers[0], "t", 1),
        Subscriber::start(&brokers[1], "t", 1),
    ];
    for n in 0..4 {
        let publication = Publication::new("t", n.to_string());
        brokers[n % 2].publish(publication).await.unwrap();
    }
    // Windows of one: each has one, and nobody has the other's.
    for expected in [["0", "1"], ["2", "3"]] {
        let delivered = [subscribers[0].next().await, subscribers[1].next().await];
        let mut texts = delivered.each_ref().map(text);
        texts.sort();
        assert_eq!(texts, expected);
        for (subscriber, delivered) in subscribers.iter().zip(&delivered) {
            subscriber.answer(delivered, Ack::Accepted);
        }
    }
    folder
        .eventually("SELECT count(*) FROM pubsub_messages", "0")
        .await;
}
