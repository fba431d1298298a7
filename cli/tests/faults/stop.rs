//! The end on demand, SIGTERM, whatever the program is at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dapr_pluggable::{InstanceId, Opener as _};
use dapr_pluggable_testbed::{Process, Signal, eventually, rounds, within};
use tokio::task::JoinSet;

use crate::host::{self, Host};
use crate::load::{OverHttp, Writes};
use crate::messages::{Messages, Subscriber};
use crate::served::Served;

/// How long all that comes after the wait for runtimes may take: calls, values, threads.
const GRACE: Duration = Duration::from_secs(5 + 6 + 2);

/// Those that are stopped, as often as asked for.
fn components() -> Vec<&'static str> {
    ["memory", "sqlite"].repeat(rounds(1).try_into().unwrap())
}

/// Waits for the end, which is one in order and in time.
async fn end(process: &mut Process, linger: Duration) {
    let begun = Instant::now();
    assert_eq!(process.code().await, 0, "{}", process.log());
    assert!(begun.elapsed() < linger + GRACE, "{}", process.log());
    assert!(!process.log().contains("panic"), "{}", process.log());
}

/// The same of a component, whose socket goes.
async fn end_of(served: &mut Served, linger: Duration) {
    end(&mut served.process, linger).await;
    assert!(!served.socket().try_exists().unwrap());
}

/// Waits until a process would hear of SIGTERM.
async fn hears(process: &Process) {
    eventually("a handler of signals", async || {
        let caught = u64::from_str_radix(&process.status("SigCgt"), 16).unwrap();
        caught & 1 << (Signal::TERM.as_raw() - 1) != 0
    })
    .await;
}

#[tokio::test]
async fn during_the_start() {
    for component in components() {
        let mut served = Served::begin(component, &[]);
        hears(&served.process).await;
        served.process.signal(Signal::TERM);
        end_of(&mut served, Duration::ZERO).await;
        // It is there, but may not have said so.
        let mut served = Served::begin(component, &[]);
        let socket = served.socket();
        eventually("the socket", async || socket.try_exists().unwrap()).await;
        served.process.signal(Signal::TERM);
        end_of(&mut served, Duration::ZERO).await;
    }
    let home = tempfile::tempdir().unwrap();
    for _ in 0..rounds(1) {
        let mut command = host::command(&[]);
        let mut process = Process::spawn(command.env("HOME", home.path()));
        hears(&process).await;
        process.signal(Signal::TERM);
        end(&mut process, Duration::ZERO).await;
    }
}

#[tokio::test]
async fn before_init_and_at_rest() {
    for component in components() {
        let mut served = Served::start(component, &["--shutdown-linger=10m"]).await;
        let client = served.client().await;
        client.services().await.unwrap();
        served.process.signal(Signal::TERM);
        end_of(&mut served, Duration::ZERO).await;

        let linger = Duration::from_millis(200);
        served.start_again(&["--shutdown-linger=200ms"]).await;
        let client = served.client().await;
        let _store = served.state_store(&client).await;
        served.process.signal(Signal::TERM);
        end_of(&mut served, linger).await;
    }
    let home = tempfile::tempdir().unwrap();
    let mut host = Host::spawn(host::command(&[]).env("HOME", home.path())).await;
    host.process.signal(Signal::TERM);
    end(&mut host.process, Duration::ZERO).await;
}

#[tokio::test]
async fn while_instances_are_opened() {
    for component in components() {
        let mut served = Served::start(component, &["--shutdown-linger=10m"]).await;
        let mut opening = JoinSet::new();
        let (sender, opened) = tokio::sync::watch::channel(0);
        for task in 0..8 {
            let (client, sender) = (served.client().await, sender.clone());
            let both = ["20s", "21s"].map(|timeout| served.metadata(&[("timeout", timeout)]));
            opening.spawn(async move {
                let instance = InstanceId::new(format!("store-{task}"));
                for metadata in both.iter().cycle() {
                    let store = client.open_state_store(&instance, metadata).await;
                    store.unwrap().ping().await.unwrap();
                    sender.send_modify(|opened| *opened += 1);
                }
            });
        }
        let goes_on = async |more: u32| {
            let (mut opened, before) = (opened.clone(), *opened.borrow());
            let wait = opened.wait_for(|opened| *opened >= before + more);
            within("instances", wait).await.unwrap();
        };
        goes_on(20).await;
        served.process.signal(Signal::TERM);
        // The runtime is still there, so it is served.
        goes_on(20).await;
        opening.shutdown().await;
        end_of(&mut served, Duration::ZERO).await;
    }
}

#[tokio::test]
async fn in_calls_of_a_runtime_that_leaves() {
    for component in components() {
        let (writes, messages) = (Writes::default(), Messages::default());
        let mut served = Served::start(component, &["--shutdown-linger=10m"]).await;
        let client = served.client().await;
        let store = served.state_store(&client).await;
        let broker = served.pubsub(&client).await;
        let mut load = writes.begin(Arc::clone(&store));
        let mut publishers = messages.publish(&broker);
        load.goes_on(200).await;
        served.process.signal(Signal::TERM);
        load.goes_on(200).await;
        load.stop().await;
        publishers.shutdown().await;
        writes.check(&store).await;
        drop((client, store, broker));
        end_of(&mut served, Duration::ZERO).await;
        check_again(&mut served, &writes, &messages).await;
    }
}

#[tokio::test]
async fn in_calls_of_a_runtime_that_does_not_leave() {
    for component in components() {
        // The same signal twice at once, as whole process groups are told, is one.
        for (flag, linger, signals) in [
            ("--shutdown-linger=200ms", 200, 1),
            ("--shutdown-linger=0s", 0, 2),
        ] {
            let (writes, messages) = (Writes::default(), Messages::default());
            let mut served = Served::start(component, &[flag]).await;
            let client = served.client().await;
            let store = served.state_store(&client).await;
            let broker = served.pubsub(&client).await;
            let mut load = writes.begin(Arc::clone(&store));
            let publishers = messages.publish(&broker);
            load.goes_on(200).await;
            for _ in 0..signals {
                served.process.signal(Signal::TERM);
            }
            end_of(&mut served, Duration::from_millis(linger)).await;
            within("the end of writers", load.fails()).await;
            within("the end of publishers", publishers.join_all()).await;
            check_again(&mut served, &writes, &messages).await;
        }
    }
}

#[tokio::test]
async fn with_messages_in_the_hands_of_a_subscriber() {
    for component in components() {
        let messages = Messages::default();
        let mut served = Served::start(component, &["--shutdown-linger=10m"]).await;
        let client = served.client().await;
        let broker = served.pubsub(&client).await;
        let mut publishers = messages.publish(&broker);
        let mut subscriber = Subscriber::start(&broker, &messages);
        let mut in_hand = Vec::new();
        for _ in 0..40 {
            in_hand.push(subscriber.take().await);
        }
        served.process.signal(Signal::TERM);
        served.process.says("waiting for runtimes to leave").await;
        let published = messages.acknowledged();
        eventually("more messages", async || {
            messages.acknowledged() > published + 20
        })
        .await;
        for message in &in_hand[..20] {
            subscriber.accept(message);
        }
        publishers.shutdown().await;
        subscriber.stop().await;
        drop((client, broker));
        end_of(&mut served, Duration::ZERO).await;

        if served.is_durable() {
            let accepted = messages.accepted();
            served.start_again(&[]).await;
            let broker = served.pubsub(&served.client().await).await;
            let received = Subscriber::start(&broker, &messages).receive_owed().await;
            assert!(
                received.is_disjoint(&accepted),
                "{received:?}, {accepted:?}"
            );
            let again = in_hand[20..].iter().map(|message| message.number);
            let owed: Vec<u32> = again.filter(|number| !received.contains(number)).collect();
            assert!(owed.is_empty(), "{owed:?}");
        }
    }
}

#[tokio::test]
async fn in_calls_of_an_application() {
    let home = tempfile::tempdir().unwrap();
    let writes = Writes::default();
    for signals in [1, 2].repeat(rounds(1).try_into().unwrap()) {
        let mut host = Host::spawn(host::command(&[]).env("HOME", home.path())).await;
        writes.check(&OverHttp(host.address())).await;
        let mut load = writes.begin(OverHttp(host.address()));
        load.goes_on(200).await;
        for _ in 0..signals {
            host.process.signal(Signal::TERM);
        }
        end(&mut host.process, Duration::ZERO).await;
        within("the end of writers", load.fails()).await;
    }
    let host = Host::spawn(host::command(&[]).env("HOME", home.path())).await;
    writes.check(&OverHttp(host.address())).await;
    host.stop().await;
}

/// What was acknowledged is there after another start, where the component keeps it.
async fn check_again(served: &mut Served, writes: &Writes, messages: &Messages) {
    if served.is_durable() {
        served.start_again(&[]).await;
        let client = served.client().await;
        writes.check(&served.state_store(&client).await).await;
        let broker = served.pubsub(&client).await;
        Subscriber::start(&broker, messages).receive_owed().await;
    }
}
