//! The end without a word, as when the power fails: SIGKILL in the middle of many writes.

use dapr_pluggable_testbed::{Process, Redis, Signal, rounds, within};

use crate::host::{self, Host};
use crate::load::{OverHttp, Writes};
use crate::messages::{Messages, Subscriber};
use crate::served::Served;

/// Writes of a round: each ends at another moment of a group of writes that share a commit.
fn enough(round: u32) -> usize {
    400 + 37 * usize::try_from(round % 10).unwrap()
}

async fn kill(process: &mut Process) {
    process.signal(Signal::KILL);
    assert_eq!(process.code().await, -1, "{}", process.log());
}

#[tokio::test]
async fn a_host_has_every_acknowledged_write_after_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let writes = Writes::default();
    for round in 0..rounds(2) {
        let mut host = Host::spawn(host::command(&[]).env("HOME", home.path())).await;
        writes.check(&OverHttp(host.address())).await;
        let mut load = writes.begin(OverHttp(host.address()));
        load.goes_on(enough(round)).await;
        kill(&mut host.process).await;
        for why in within("the end of writers", load.fails()).await {
            // Not what a host answers: nobody answers any more.
            assert!(
                !why.starts_with(|first: char| first.is_ascii_digit()),
                "{why}"
            );
        }
    }
    let host = Host::spawn(host::command(&[]).env("HOME", home.path())).await;
    writes.check(&OverHttp(host.address())).await;
    host.stop().await;
    println!(
        "{} acknowledged writes over HTTP are there",
        writes.acknowledged()
    );
}

#[tokio::test]
async fn sqlite_has_every_acknowledged_write_and_message_after_a_kill() {
    survives(Served::start("sqlite", &[]).await, rounds(2)).await;
}

#[tokio::test]
async fn redis_has_every_acknowledged_write_and_message_after_a_kill() {
    let test = "kill::redis_has_every_acknowledged_write_and_message_after_a_kill";
    if let Some(redis) = Redis::start(test).await {
        survives(Served::start_redis(redis).await, rounds(10)).await;
    }
}

async fn survives(mut served: Served, rounds: u32) {
    let (writes, messages) = (Writes::default(), Messages::default());
    let socket = format!("{}.sock", served.component);
    for round in 0..rounds {
        let client = served.client().await;
        let store = served.state_store(&client).await;
        writes.check(&store).await;
        let broker = served.impatient_pubsub(&client).await;
        let mut subscriber = Subscriber::start(&broker, &messages);
        subscriber.receive_owed().await;

        let mut load = writes.begin(store);
        let publishers = messages.publish(&broker);
        let mut kept = 0;
        for turn in 0..enough(round) {
            let message = subscriber.take().await;
            // Some are in its hands when everything goes.
            if turn % 8 == 0 && kept < 32 {
                kept += 1;
            } else {
                subscriber.accept(&message);
            }
        }
        load.goes_on(1).await;
        kill(&mut served.process).await;
        let mut why = within("the end of writers", load.fails()).await;
        why.extend(within("the end of publishers", publishers.join_all()).await);
        for why in why {
            assert!(why.contains(&socket), "{why}");
        }
        assert!(!messages.owed().is_empty());
        served.start_again(&[]).await;
    }
    let client = served.client().await;
    writes.check(&served.state_store(&client).await).await;
    let broker = served.impatient_pubsub(&client).await;
    Subscriber::start(&broker, &messages).receive_owed().await;
    println!(
        "{}: {} acknowledged writes are there, {} acknowledged messages have come",
        served.component,
        writes.acknowledged(),
        messages.acknowledged()
    );
}
