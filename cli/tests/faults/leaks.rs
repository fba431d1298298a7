//! What must not grow in a process that serves for long: memory, descriptors, threads and tasks.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::state::{GetRequest, SetRequest, StateStore};
use dapr_pluggable::{InstanceId, Opener as _};
use dapr_pluggable_testbed::{HttpRequest, eventually_equal, rounds};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::messages::{Messages, Subscriber};
use crate::served::Served;

/// What a process has beside its memory.
#[derive(Clone, Copy, Debug)]
struct Belongings {
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

impl Belongings {
    async fn of(subject: &Subject) -> Self {
        let metrics = subject.metrics().await;
        let mut lines = metrics.lines();
        let tasks = lines.find_map(|line| line.strip_prefix("pluggable_tasks "));
        let count = |what| {
            let folder = format!("/proc/{}/{what}", subject.served.process.id());
            fs::read_dir(folder).unwrap().count()
        };
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            tasks: tasks.unwrap().parse().unwrap(),
        }
    }

    /// What there is notably more of than before `turns` of some work. What each turn leaves behind is; what grows with the
    /// number of those who happen to meet is not.
    fn beyond(self, before: Self, turns: u32) -> Vec<String> {
        let slack = usize::try_from(turns / 20).unwrap();
        let compared = [
            ("descriptors", self.descriptors, before.descriptors),
            ("threads", self.threads, before.threads),
            ("tasks", self.tasks, before.tasks),
        ];
        let more = compared
            .into_iter()
            .filter(|(_, now, before)| *now > before + slack);
        more.map(|(what, now, before)| format!("{now} {what} after {before}"))
            .collect()
    }
}

/// A component with a runtime that stays.
struct Subject {
    served: Served,
    probes: SocketAddr,
    client: Client,
    store: Arc<dyn StateStore>,
    broker: Arc<dyn PubSub>,
    messages: Messages,
}

impl Subject {
    async fn start(component: &'static str) -> Self {
        let served = Served::start(component, &["--http-listen=0"]).await;
        let probes = served.process.says_field("address").await.parse().unwrap();
        let client = served.client().await;
        Self {
            probes,
            store: served.state_store(&client).await,
            broker: served.pubsub(&client).await,
            messages: Messages::default(),
            client,
            served,
        }
    }

    async fn metrics(&self) -> String {
        let request = HttpRequest::new("GET", "/metrics");
        request.send(self.probes).await.text()
    }

    /// How many bytes the allocator may keep: SQLite's connections come and go in threads of their own, which takes many
    /// turns to settle.
    fn slack(&self) -> u64 {
        if self.served.is_durable() {
            6 << 20
        } else {
            1 << 20
        }
    }

    /// Does a part of some work to warm up, then all of it, which leaves nothing behind but `slack` bytes, as the allocator
    /// may.
    async fn is_flat(&self, turns: u32, slack: u64, work: impl AsyncFn(&Self, u32)) {
        let process = &self.served.process;
        work(self, turns / 4).await;
        let before = Belongings::of(self).await;
        let memory = process.memory("VmRSS");
        work(self, rounds(turns)).await;
        eventually_equal("what there is more of", vec![], async || {
            Belongings::of(self).await.beyond(before, turns)
        })
        .await;
        let grown = process.memory("VmRSS").saturating_sub(memory);
        println!(
            "{}: {turns} turns, {memory} + {grown} bytes, {before:?}",
            self.served.component
        );
        assert!(grown < slack, "{grown} bytes more than {memory}");
    }
}

#[tokio::test]
async fn cancelled_calls() {
    for component in ["memory", "sqlite"] {
        let subject = Subject::start(component).await;
        let small = async |subject: &Subject, turns| cancel(subject, turns, 64).await;
        let slack = subject.slack();
        subject.is_flat(300, slack, small).await;
        let large = async |subject: &Subject, turns| cancel(subject, turns, 1 << 20).await;
        // How many are in the server at a time differs; all together are much more.
        subject.is_flat(300, 64 << 20, large).await;
        if component == "sqlite" {
            let metrics = subject.metrics().await;
            assert!(metrics.contains("outcome=\"cancelled\""), "{metrics}");
        }
    }
}

/// Gives up calls as soon as the first of several is answered: the others are on their way, or wait for their commit.
async fn cancel(subject: &Subject, turns: u32, size: usize) {
    const TOGETHER: u32 = 16;
    let value = Bytes::from(vec![b'0'; size]);
    for _ in 0..turns.div_ceil(TOGETHER - 1) {
        let call = |_| subject.store.set(SetRequest::new("k", value.clone()));
        let mut calls: FuturesUnordered<_> = (0..TOGETHER).map(call).collect();
        calls.next().await.unwrap().unwrap();
    }
    // Answered after them.
    let last = SetRequest::new("k", "0");
    subject.store.set(last).await.unwrap();
}

#[tokio::test]
async fn connections() {
    let subject = Subject::start("memory").await;
    let slack = subject.slack();
    subject.is_flat(1000, slack, connect).await;
}

/// Connects, with a call or without a word.
async fn connect(subject: &Subject, turns: u32) {
    let instance = InstanceId::new("statestore");
    for turn in 0..turns {
        if turn % 4 == 0 {
            drop(UnixStream::connect(subject.served.socket()).unwrap());
        } else {
            let client = subject.served.client().await;
            let store = client.attach_state_store(&instance).await.unwrap();
            store.get(GetRequest::new("k")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn subscriptions() {
    for (component, turns) in [("memory", 1000), ("sqlite", 100)] {
        let subject = Subject::start(component).await;
        let slack = subject.slack();
        subject.is_flat(turns, slack, subscribe).await;
    }
}

/// Subscribes, gets a message, and ends the subscription in order or not.
async fn subscribe(subject: &Subject, turns: u32) {
    for turn in 0..turns {
        let mut subscriber = Subscriber::start(&subject.broker, &subject.messages);
        subject.messages.publish_one(&subject.broker).await;
        subscriber.receive_owed().await;
        if turn % 2 == 0 {
            subscriber.stop().await;
        }
    }
}

#[tokio::test]
async fn instances() {
    for component in ["memory", "sqlite"] {
        let subject = Subject::start(component).await;
        let slack = subject.slack();
        subject.is_flat(200, slack, open).await;
    }
}

/// Opens instances of one name, each time with other metadata than before.
async fn open(subject: &Subject, turns: u32) {
    let instance = InstanceId::new("one");
    for turn in 0..turns {
        let timeout = if turn % 2 == 0 { "10s" } else { "20s" };
        let metadata = subject.served.metadata(&[("timeout", timeout)]);
        let client = &subject.client;
        let store = client.open_state_store(&instance, &metadata).await;
        store.unwrap().get(GetRequest::new("k")).await.unwrap();
        let broker = client.open_pubsub(&instance, &metadata).await;
        broker.unwrap().ping().await.unwrap();
    }
}
