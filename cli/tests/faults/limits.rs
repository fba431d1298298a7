//! What is scarce, what only one can have, and what is large.

use std::net::TcpStream as StdStream;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use dapr_pluggable::delivery::{Ack, Gate, window};
use dapr_pluggable::pubsub::{Publication, Subscription};
use dapr_pluggable::state::{GetRequest, SetRequest};
use dapr_pluggable_testbed::{Signal, eventually, rounds, within};
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::host::Host;
use crate::program::{run, text};
use crate::served::Served;

/// Asks on a connection that stays.
async fn ask(connection: &mut TcpStream, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let read = within("an answer", connection.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap(), 0, "the connection has ended");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_host_lives_through_a_lack_of_descriptors() {
    const SAVE: &str = "POST /v1.0/state/statestore HTTP/1.1\r\nHost: h\r\nContent-Length: 23\r\n\r\n[{\"key\":\"k\",\"value\":1}]";
    let home = tempfile::tempdir().unwrap();
    let host = Host::start(&["--data-dir", text(home.path())]).await;
    host.process.limit_descriptors(64);
    let mut witness = TcpStream::connect(host.address()).await.unwrap();
    let answer = ask(&mut witness, SAVE).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    let crowd = (0..100).map(|_| StdStream::connect(host.address()));
    let crowd: Vec<StdStream> = crowd.collect::<Result<_, _>>().unwrap();
    let failures = || {
        host.process
            .log()
            .matches("cannot accept an HTTP connection")
            .count()
    };
    eventually("a lack of descriptors", async || failures() > 0).await;
    let (begun, used, before) = (Instant::now(), host.process.cpu_time(), failures());
    eventually("another try", async || {
        let answer = ask(&mut witness, SAVE).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        failures() > before + 4
    })
    .await;
    let used = host.process.cpu_time() - used;
    let spins = used > begun.elapsed() / 2;
    assert!(!spins, "{used:?} of CPU in {:?}", begun.elapsed());

    drop(crowd);
    host.save("statestore", "k", "after").await;
    assert_eq!(host.value("statestore", "k").await, "\"after\"");
    host.stop().await;
}

#[tokio::test]
async fn of_two_that_start_at_once_one_serves() {
    for round in 0..rounds(2) {
        let mut first = Served::begin("memory", &[]);
        if round % 2 == 0 {
            // Or they find what one has left that was killed.
            drop(UnixListener::bind(first.socket()).unwrap());
        }
        let mut second = first.begin_another();
        eventually("the end of one", async || {
            !first.process.is_running() || !second.is_running()
        })
        .await;
        let (winner, loser) = if first.process.is_running() {
            (&mut first.process, &mut second)
        } else {
            (&mut second, &mut first.process)
        };
        assert_eq!(loser.code().await, 1, "{}", loser.log());
        assert!(loser.log().contains("already served"), "{}", loser.log());
        winner.says("serving").await;
        let folder = text(first.folder.path());
        let health = run(["health", "memory", "--sockets-folder", folder]).await;
        assert_eq!(health.code, 0, "{health:?}");
        winner.signal(Signal::TERM);
        assert_eq!(winner.code().await, 0, "{}", winner.log());
        assert!(!first.socket().try_exists().unwrap());
    }
}

#[tokio::test]
async fn large_values_and_messages_come_back_whole() {
    for component in ["memory", "sqlite"] {
        let served = Served::start(component, &[]).await;
        let client = served.client().await;
        let store = served.state_store(&client).await;
        let broker = served.pubsub(&client).await;
        let values = (0..4).map(|seed: u8| {
            let bytes = (0..8_u32 << 20).map(|at| seed.wrapping_add((at % 251).to_le_bytes()[0]));
            Bytes::from_iter(bytes)
        });
        let values: Vec<Bytes> = values.collect();
        let there_and_back = values.iter().enumerate().map(|(number, value)| {
            let (store, key) = (&store, format!("large {number}"));
            async move {
                store
                    .set(SetRequest::new(&key, value.clone()))
                    .await
                    .unwrap();
                let found = store.get(GetRequest::new(&key)).await.unwrap().unwrap();
                assert!(found.value == *value, "{key} has changed");
            }
        });
        within("the values", join_all(there_and_back)).await;

        let (deliveries, mut consumer) = window(2, &Gate::new());
        let subscription = {
            let broker = Arc::clone(&broker);
            tokio::spawn(async move {
                broker
                    .subscribe(Subscription::new("large"), deliveries)
                    .await
            })
        };
        for value in &values {
            let publication = Publication::new("large", value.clone());
            broker.publish(publication).await.unwrap();
        }
        for value in &values {
            let delivered = within("a message", consumer.next()).await.unwrap();
            assert!(delivered.message.data == *value, "a message has changed");
            consumer
                .settler()
                .settle(delivered.id, Ack::Accepted)
                .unwrap();
        }
        consumer.close();
        subscription.await.unwrap().unwrap();
    }
}
