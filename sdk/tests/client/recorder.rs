//! A component with all building blocks, served by our own server, that notes what reaches it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::pending;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dapr_pluggable::binding::{Event, InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::client::Client;
use dapr_pluggable::delivery::{Deliveries, Events};
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Message, Pausable, PubSub, PubSubClaims,
    Publication, Subscription,
};
use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretClaims, SecretStore};
use dapr_pluggable::state::{
    DeleteRequest, Entry, Etag, GetRequest, Operation, Query, QueryItem, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, Metadata, Result, RuntimeFault, Server, Serving,
    async_trait,
};
use dapr_pluggable_testbed::{eventually, socket_folder};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// What it notes; clones share it.
#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Vec<String>>>);

/// A recorder behind a socket.
pub(super) struct Served {
    pub(super) recorder: Recorder,
    pub(super) serving: Serving,
    pub(super) folder: TempDir,
}

impl Served {
    pub(super) async fn start() -> Self {
        let recorder = Recorder::default();
        let folder = socket_folder();
        let serving = serve(&recorder, folder.path()).await;
        Self {
            recorder,
            serving,
            folder,
        }
    }

    pub(super) async fn client(&self) -> Client {
        let socket = self.serving.sockets().next().unwrap();
        Client::connect(socket).await.unwrap()
    }
}

pub(super) async fn serve(recorder: &Recorder, folder: &Path) -> Serving {
    let make = || {
        let recorder = recorder.clone();
        move || recorder.clone()
    };
    let blocks = Blocks::new()
        .state_store_from(make())
        .pubsub_from(make())
        .input_binding_from(make())
        .output_binding_from(make())
        .secret_store_from(make());
    let server = Server::new("recorder").blocks(blocks);
    Serving::start([server.sockets_folder(folder)])
        .await
        .unwrap()
}

impl Recorder {
    pub(super) fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until it has noted this.
    pub(super) async fn has_seen(&self, what: &str) {
        eventually(what, async || self.seen().iter().any(|seen| seen == what)).await;
    }

    fn note(&self, what: impl Debug) {
        self.0.lock().unwrap().push(format!("{what:?}"));
    }
}

/// One error of each kind that a component may answer, by the names of the kinds.
pub(super) fn errors() -> BTreeMap<&'static str, Error> {
    let mut fault = RuntimeFault::new(8, 429, "ERR_QUOTA");
    fault.reason = "DAPR_STATE_QUOTA".to_owned();
    [
        ErrorKind::NotFound,
        ErrorKind::InvalidRequest,
        ErrorKind::EtagMismatch,
        ErrorKind::EtagInvalid,
        ErrorKind::BulkDeleteMismatch {
            expected: 3,
            affected: 1,
        },
        ErrorKind::Unsupported,
        ErrorKind::NotOpened,
        ErrorKind::Denied,
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
        ErrorKind::Runtime(fault),
        ErrorKind::Internal,
    ]
    .into_iter()
    .map(|kind| (kind.as_str(), Error::new(kind, "größer as it may be")))
    .collect()
}

/// Notes that a call ended before its answer.
struct Unanswered(Recorder);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[async_trait]
impl Component for Recorder {
    async fn ping(&self) -> Result<()> {
        self.note("ping");
        Ok(())
    }
}

#[async_trait]
impl StateStore for Recorder {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag().with_other("ACTOR")
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        self.note(&request);
        match request.key.as_str() {
            "missing" => Ok(None),
            "panic" => panic!("no such luck"),
            "never" => {
                let _unanswered = Unanswered(self.clone());
                pending().await
            }
            key => match errors().remove(key) {
                Some(error) => Err(error),
                None => Ok(Some(entry(key))),
            },
        }
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.note(request);
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.note(request);
        Ok(())
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

/// What a get answers.
pub(super) fn entry(key: &str) -> Entry {
    Entry::new(key.to_owned())
        .with_etag("7")
        .with_metadata(Metadata::from([("ttlExpireTime", "2030-01-01T00:00:00Z")]))
}

#[async_trait]
impl TransactionalStateStore for Recorder {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        Ok(NonZeroU32::new(10))
    }

    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        self.note((operations, metadata));
        Ok(())
    }
}

#[async_trait]
impl QueryableStateStore for Recorder {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        self.note(query);
        let item = QueryItem::new("k", "v", Some(Etag::from(7)));
        Ok(QueryPage::new(vec![item], Some("more".to_owned())))
    }
}

#[async_trait]
impl PubSub for Recorder {
    fn claims(&self) -> PubSubClaims {
        PubSubClaims::none().with_wildcards().with_other("ORDERED")
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        self.note(publication);
        Ok(())
    }

    /// Delivers 100 messages and notes the answers.
    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        self.note(subscription);
        let mut answers = JoinSet::new();
        for number in 0..100 {
            let message = Message::new("orders", format!("message {number}"));
            let Ok(pending) = deliveries.deliver(message).await else {
                break;
            };
            let recorder = self.clone();
            answers.spawn(async move {
                let ack = pending.await;
                recorder.note(format!("{number} {ack:?}"));
            });
        }
        deliveries.closed().await;
        answers.join_all().await;
        self.note("closed");
        Ok(())
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }

    fn pausable(&self) -> Option<&dyn Pausable> {
        Some(self)
    }
}

#[async_trait]
impl BulkPublisher for Recorder {
    /// Takes all but the entry `bad`.
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        self.note(&publication);
        let mut entries = publication.entries;
        entries.retain(|entry| entry.entry_id == "bad");
        Ok(entries
            .iter()
            .map(|entry| FailedEntry::new(&entry.entry_id, "too large"))
            .collect())
    }
}

#[async_trait]
impl Pausable for Recorder {
    async fn pause(&self) -> Result<()> {
        self.note("pause");
        Ok(())
    }

    async fn resume(&self) -> Result<()> {
        self.note("resume");
        Ok(())
    }
}

#[async_trait]
impl InputBinding for Recorder {
    /// Delivers two events and notes the replies, then returns although nobody has closed.
    async fn read(&self, events: Events) -> Result<()> {
        for number in 0..2 {
            let event = Event::new(format!("event {number}"));
            let event = event.with_metadata(Metadata::from([("number", number.to_string())]));
            let reply = events.deliver(event).await?.await;
            self.note(format!("{number} {reply:?}"));
        }
        Err(Error::internal("the source ran dry"))
    }
}

#[async_trait]
impl OutputBinding for Recorder {
    fn operations(&self) -> Vec<String> {
        vec!["create".to_owned(), "list".to_owned()]
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        self.note(&request);
        let mut response = InvokeResponse::new(request.data);
        response.metadata = request.metadata;
        response.content_type = Some("text/plain".to_owned());
        Ok(response)
    }
}

#[async_trait]
impl SecretStore for Recorder {
    fn claims(&self) -> SecretClaims {
        SecretClaims::none().with_multiple_keys().with_other("FAST")
    }

    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        self.note(&request);
        match request.name.as_str() {
            "missing" => Err(Error::new(ErrorKind::NotFound, "there is no such secret")),
            name => Ok([(name, "1"), ("other", "2")].into_iter().collect()),
        }
    }

    async fn bulk_get(&self, metadata: Metadata) -> Result<BTreeMap<String, Secret>> {
        self.note(&metadata);
        Ok([("a".to_owned(), Secret::single("a", "1"))].into())
    }
}
