//! What our client finds at a peer that is a component.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::binding::{Event, InvokeRequest};
use dapr_pluggable::client::Client;
use dapr_pluggable::delivery::{Ack, Answer, Consumer, Delivered, Gate, Reply, window};
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublishEntry, Message, Publication, Subscription,
};
use dapr_pluggable::secret::GetSecretRequest;
use dapr_pluggable::state::{
    DeleteRequest, GetRequest, Operation, Parallelism, SetRequest, StateStore,
};
use dapr_pluggable::{Block, ErrorKind, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Peer, Process, eventually, socket_folder, unique, within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::program::text;

/// A key that the peer gives no answer for.
const HELD: &str = "held";
const LARGE: usize = 8 << 20;
/// Longer than the peer waits before it delivers again.
const QUIET: Duration = Duration::from_millis(300);

/// A peer that serves, and a client of it.
struct Served {
    process: Process,
    client: Client,
    instance: InstanceId,
    _folder: TempDir,
}

impl Served {
    async fn by(peer: &Peer) -> Self {
        let folder = socket_folder();
        let socket = folder.path().join("peer.sock");
        let process = Process::spawn(&mut peer.command(["serve", "--socket", text(&socket)]));
        process.says("serving").await;
        Self {
            process,
            client: Client::connect(&socket).await.unwrap(),
            instance: InstanceId::new(unique("ours")),
            _folder: folder,
        }
    }

    async fn state_store(&self) -> Arc<dyn StateStore> {
        let metadata = metadata();
        let opened = self.client.open_state_store(&self.instance, &metadata);
        let store = within("Init of the state store", opened).await.unwrap();
        self.had_init("state").await;
        store
    }

    /// Waits until the peer has had Init with the instance in the header and all of the metadata.
    async fn had_init(&self, block: &str) {
        let expected: Value = serde_json::json!({
            "init": block,
            "instance": self.instance.as_str(),
            "metadata": metadata().as_map(),
        });
        self.notes("Init", |note| *note == expected).await;
    }

    /// Waits for a line of the peer that is so.
    async fn notes(&self, what: &str, is_wanted: impl Fn(&Value) -> bool + Sync) {
        eventually(what, async || {
            let lines = self.process.stdout();
            let mut notes = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            notes.any(|note| is_wanted(&note))
        })
        .await;
    }

    async fn end(mut self) {
        drop(self.client);
        let status = self.process.stop().await;
        assert!(status.success(), "{status}: {}", self.process.log());
    }
}

fn metadata() -> Metadata {
    Metadata::from([("consumerID", "ours"), ("user", "ada")])
}

/// All of it that is a state store: discovery, Init, calls, etags as Dapr has them on the wire, 8 MB.
pub(super) async fn check_state(peer: &Peer) {
    let served = Served::by(peer).await;
    let blocks = within("reflection", served.client.blocks()).await.unwrap();
    assert_eq!(blocks, Block::ALL);
    let early = served.client.attach_state_store(&served.instance).await;
    let early = early.map(|_| ()).unwrap_err();
    assert!(early.message().contains("no Init received"), "{early}");

    let store = served.state_store().await;
    assert!(store.claims().etag);
    store.set(SetRequest::new("k", "one")).await.unwrap();
    let one = store.get(GetRequest::new("k")).await.unwrap().unwrap();
    assert_eq!(one.value, "one");
    let mut set = SetRequest::new("k", "two");
    set.etag = one.etag;
    store.set(set.clone()).await.unwrap();
    let conflict = store.set(set).await.unwrap_err();
    assert_eq!(*conflict.kind(), ErrorKind::EtagMismatch, "{conflict}");

    let keys = || ["a", "b", "nothing"].map(GetRequest::new).to_vec();
    let sets = ["a", "b"].map(|key| SetRequest::new(key, key)).to_vec();
    let parallelism = Parallelism::default();
    store.bulk_set(sets, parallelism).await.unwrap();
    let found = store.bulk_get(keys(), parallelism).await.unwrap();
    let values = found.into_iter().map(|item| item.outcome.unwrap());
    let values: Vec<_> = values.map(|entry| entry.map(|entry| entry.value)).collect();
    assert_eq!(values, [Some("a".into()), Some("b".into()), None]);

    let transactional = store.transactional().unwrap();
    let operations = vec![
        Operation::Set(SetRequest::new("a", "new")),
        Operation::Delete(DeleteRequest::new("b")),
    ];
    let done = transactional.transact(operations, Metadata::new()).await;
    done.unwrap();
    let deletes = vec![DeleteRequest::new("a"), DeleteRequest::new("k")];
    store.bulk_delete(deletes, parallelism).await.unwrap();
    for key in ["a", "b", "k"] {
        assert_eq!(
            store.get(GetRequest::new(key)).await.unwrap(),
            None,
            "{key}"
        );
    }
    // Another instance has nothing of this one.
    let other = InstanceId::new(unique("another"));
    let other = served.client.open_state_store(&other, &metadata()).await;
    let other = other.unwrap();
    store.set(SetRequest::new("k", "mine")).await.unwrap();
    assert_eq!(other.get(GetRequest::new("k")).await.unwrap(), None);

    let value = large();
    let set = SetRequest::new("large", value.clone());
    within("8 MB there", store.set(set)).await.unwrap();
    let back = within("8 MB back", store.get(GetRequest::new("large"))).await;
    assert!(back.unwrap().unwrap().value == value);
    served.end().await;
}

/// The peer sees the deadline of a call that has one, and that a caller has gone.
pub(super) async fn check_giving_up(peer: &Peer) {
    let served = Served::by(peer).await;
    let store = served.state_store().await;
    let limit = store.transactional().unwrap().max_operations().await;
    assert_eq!(limit.unwrap(), None);
    let is_deadline = |note: &Value| {
        note["deadline"] == "MultiMaxSize"
            && note["milliseconds"]
                .as_u64()
                .is_some_and(|left| (1..=5000).contains(&left))
    };
    served.notes("a deadline of 5 s", is_deadline).await;

    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.get(GetRequest::new(HELD)).await })
    };
    let instance = served.instance.as_str();
    served
        .notes("the call came", |note| note["held"] == instance)
        .await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    served
        .notes("the caller left", |note| note["released"] == instance)
        .await;
    // The connection goes on.
    store.set(SetRequest::new("k", "v")).await.unwrap();
    served.end().await;
}

/// Messages: acks, nacks, streams that end without an answer, a pause, 8 MB.
pub(super) async fn check_pubsub(peer: &Peer) {
    let served = Served::by(peer).await;
    let metadata = metadata();
    let opened = served.client.open_pubsub(&served.instance, &metadata);
    let broker = within("Init of the broker", opened).await.unwrap();
    served.had_init("pubsub").await;
    let subscribe = || {
        let broker = Arc::clone(&broker);
        Stream::open(|window| async move {
            let subscription = Subscription::new("orders");
            broker.subscribe(subscription, window).await
        })
    };
    let publish = async |data: bytes::Bytes| {
        let mut publication = Publication::new("orders", data);
        publication.metadata = Metadata::from([("from", "ours")]);
        broker.publish(publication).await.unwrap();
    };
    let mut stream = subscribe();
    publish("one".into()).await;
    let one: Delivered<Message> = stream.next().await;
    assert_eq!(one.message.topic, "orders");
    assert_eq!(one.message.data, "one");
    assert_eq!(one.message.metadata.get("from"), Some("ours"));
    stream.settle(one.id, Ack::Rejected("not yet".to_owned()));
    let again = stream.next().await;
    assert_eq!(again.message.data, "one");
    stream.settle(again.id, Ack::Accepted);

    let entries = (0..20).map(|n| BulkPublishEntry::new(n.to_string(), n.to_string()));
    let bulk = BulkPublication::new("orders", entries.collect());
    let publisher = broker.bulk_publisher().unwrap();
    assert_eq!(publisher.bulk_publish(bulk).await.unwrap(), []);
    for number in 0..20 {
        let next = stream.next().await;
        assert_eq!(next.message.data, number.to_string());
        stream.settle(next.id, Ack::Accepted);
    }
    // Neither answer: it comes again, to the next stream.
    publish("unanswered".into()).await;
    assert_eq!(stream.next().await.message.data, "unanswered");
    stream.end().await;
    let mut stream = subscribe();
    let next = stream.next().await;
    assert_eq!(next.message.data, "unanswered");

    let pausable = broker.pausable().unwrap();
    pausable.pause().await.unwrap();
    publish("paused".into()).await;
    stream.settle(next.id, Ack::Accepted);
    stream.is_silent().await;
    pausable.resume().await.unwrap();
    let next = stream.next().await;
    assert_eq!(next.message.data, "paused");
    stream.settle(next.id, Ack::Accepted);

    for _ in 0..2 {
        publish(large()).await;
        let next = stream.next().await;
        assert!(next.message.data == large());
        stream.settle(next.id, Ack::Accepted);
    }
    stream.is_silent().await;
    stream.end().await;
    served.end().await;
}

/// Bindings in and out, and secrets.
pub(super) async fn check_bindings_and_secrets(peer: &Peer) {
    let served = Served::by(peer).await;
    let (client, instance) = (&served.client, &served.instance);
    let output = client.open_output_binding(instance, &metadata()).await;
    let output = output.unwrap();
    let input = client.open_input_binding(instance, &metadata()).await;
    let input = input.unwrap();
    served.had_init("output").await;
    served.had_init("input").await;
    assert_eq!(output.operations(), ["create"]);
    let create = InvokeRequest::new("create", "event");
    output.invoke(create).await.unwrap();
    let unknown = output.invoke(InvokeRequest::new("explode", "")).await;
    assert_eq!(*unknown.unwrap_err().kind(), ErrorKind::InvalidRequest);

    let read = || {
        let input = Arc::clone(&input);
        Stream::open(|events| async move { input.read(events).await })
    };
    let mut stream = read();
    let event: Delivered<Event> = stream.next().await;
    stream.settle(event.id, Reply::Failed("not yet".to_owned()));
    assert_eq!(stream.next().await.message.data, "event");
    stream.end().await;
    let mut stream = read();
    let event = stream.next().await;
    assert_eq!(event.message.data, "event");
    stream.settle(event.id, Reply::Handled("done".into()));
    stream.is_silent().await;
    stream.end().await;

    let secrets = client.open_secret_store(instance, &metadata()).await;
    let secrets = secrets.unwrap();
    served.had_init("secret").await;
    let user = secrets.get(GetSecretRequest::new("user")).await.unwrap();
    assert_eq!(user.get("user"), Some("ada"));
    let all = secrets.bulk_get(Metadata::new()).await.unwrap();
    assert_eq!(all["user"].get("user"), Some("ada"));
    let missing = secrets.get(GetSecretRequest::new("no such")).await;
    assert_eq!(*missing.unwrap_err().kind(), ErrorKind::NotFound);
    served.end().await;
}

/// A stream from the peer into a window.
struct Stream<M, A: Answer> {
    consumer: Consumer<M, A>,
    task: JoinHandle<dapr_pluggable::Result<()>>,
}

impl<M, A: Answer> Stream<M, A> {
    fn open<F>(run: impl FnOnce(dapr_pluggable::delivery::Window<M, A>) -> F) -> Self
    where
        F: Future<Output = dapr_pluggable::Result<()>> + Send + 'static,
    {
        let (window, consumer) = window(16, &Gate::new());
        let task = tokio::spawn(run(window));
        Self { consumer, task }
    }

    async fn next(&mut self) -> Delivered<M> {
        let next = within("something is delivered", self.consumer.next()).await;
        next.unwrap()
    }

    fn settle(&self, id: u64, answer: A) {
        self.consumer.settler().settle(id, answer).unwrap();
    }

    /// Nothing comes that should not.
    async fn is_silent(&mut self) {
        let next = tokio::time::timeout(QUIET, self.consumer.next()).await;
        assert!(next.is_err(), "something came");
    }

    async fn end(self) {
        drop(self.consumer);
        within("the end of a stream", self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Not the same byte throughout.
fn large() -> bytes::Bytes {
    (0..LARGE).map(|index| ((index * 7) >> 3) as u8).collect()
}
