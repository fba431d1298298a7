//! Components that do what keys, topics and names say, and note it.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use dapr_pluggable::binding::{Event, InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::delivery::{Deliveries, Events};
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Message, Pausable, PubSub, PubSubClaims,
    Publication, Subscription,
};
use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretClaims, SecretStore};
use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{
    DeleteRequest, Entry, Etag, GetRequest, Operation, Query, QueryItem, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Metadata, Result, async_trait,
};
use serde::Deserialize;
use tokio::sync::watch;

/// What components have done, in order.
#[derive(Clone, Debug)]
pub(crate) struct Notes(watch::Sender<Vec<String>>);

impl Notes {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::default())
    }

    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.send_modify(|notes| notes.push(note.into()));
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Forgets what was noted.
    pub(crate) fn clear(&self) {
        self.0.send_modify(Vec::clear);
    }

    /// Waits for a note.
    pub(crate) async fn wait_for(&self, note: &str) {
        let mut notes = self.0.subscribe();
        notes
            .wait_for(|notes| notes.iter().any(|known| known == note))
            .await
            .unwrap();
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    label: String,
    /// No optional interface.
    plain: bool,
    pausable: bool,
    size: u16,
    unreachable: bool,
}

#[derive(Debug)]
struct Acting {
    notes: Notes,
    settings: Settings,
    entries: Mutex<HashMap<String, (Bytes, u64)>>,
}

type Bytes = dapr_pluggable::Bytes;

pub(crate) fn blocks(notes: &Notes) -> Blocks {
    let opener = |notes: &Notes| {
        let notes = notes.clone();
        move |settings: Settings, instance: InstanceId| {
            let notes = notes.clone();
            async move { Acting::open(notes, settings, &instance) }
        }
    };
    Blocks::new()
        .state_store_with(Rules::Strict, opener(notes))
        .pubsub_with(Rules::Strict, opener(notes))
        .input_binding_with(Rules::Strict, opener(notes))
        .output_binding_with(Rules::Strict, opener(notes))
        .secret_store_with(Rules::Strict, opener(notes))
}

impl Acting {
    fn open(notes: Notes, settings: Settings, instance: &InstanceId) -> Result<Self> {
        if settings.unreachable {
            return Err(Error::new(ErrorKind::Unavailable, "the backend is away"));
        }
        notes.add(format!("open {instance:?} {}", settings.label).replace('"', ""));
        Ok(Self {
            notes,
            settings,
            entries: Mutex::default(),
        })
    }

    /// Notes a call, and does what its subject says.
    async fn act(&self, call: &str, subject: &str) -> Result<()> {
        self.notes.add(format!("{call} {subject}"));
        match subject {
            "panic" => panic!("no such luck"),
            "wait" => {
                let _gone = Gone(self.notes.clone());
                pending().await
            }
            "away" => Err(Error::new(ErrorKind::Unavailable, "the backend is away")),
            _ => Ok(()),
        }
    }

    fn write(&self, request: SetRequest) -> Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let version = entries.get(&request.key).map_or(0, |(_, version)| *version);
        let current = (version > 0).then(|| Etag::from(version));
        request.check_etag(current.as_ref())?;
        entries.insert(request.key, (request.value, version + 1));
        Ok(())
    }
}

/// Notes that a call was given up.
struct Gone(Notes);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.add("given up");
    }
}

#[async_trait]
impl Component for Acting {
    async fn ping(&self) -> Result<()> {
        self.act("ping", &self.settings.label).await
    }

    async fn close(&self) -> Result<()> {
        self.notes.add(format!("close {}", self.settings.label));
        Ok(())
    }
}

#[async_trait]
impl StateStore for Acting {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag().with_other("COLOURS")
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        self.act("get", &request.key).await?;
        if request.key == "large" {
            return Ok(Some(Entry::new(vec![7; 5 << 20])));
        }
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.get(&request.key).cloned();
        Ok(found.map(|(value, version)| Entry::new(value).with_etag(version)))
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.act("set", &request.key).await?;
        self.write(request)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.act("delete", &request.key).await?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let version = entries.get(&request.key).map(|(_, version)| *version);
        request.check_etag(version.map(Etag::from).as_ref())?;
        entries.remove(&request.key);
        Ok(())
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        (!self.settings.plain).then_some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        (!self.settings.plain).then_some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for Acting {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        Ok(NonZeroU32::new(self.settings.size.into()))
    }

    async fn transact(&self, operations: Vec<Operation>, _: Metadata) -> Result<()> {
        for operation in operations {
            self.act("step", operation.key()).await?;
            match operation {
                Operation::Set(request) => self.set(request).await?,
                Operation::Delete(request) => self.delete(request).await?,
                other => return Err(Error::unsupported(other.key())),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl QueryableStateStore for Acting {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        self.notes.add(format!("query {:?}", query.filter));
        let item = QueryItem::new("found", Bytes::from_static(b"1"), Some(Etag::new("7")));
        Ok(QueryPage::new(vec![item], query.page.token))
    }
}

#[async_trait]
impl PubSub for Acting {
    fn claims(&self) -> PubSubClaims {
        PubSubClaims::none().with_wildcards()
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        self.act("publish", &publication.topic).await
    }

    /// Delivers as many messages as the metadata says, and notes how each is answered.
    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        let topic = subscription.topic.as_str();
        self.act("subscribe", topic).await?;
        let count = subscription.metadata.get("count").unwrap_or("0");
        for number in 1..=count.parse().unwrap() {
            let message = Message::new(topic, format!("message {number}"));
            let answer = deliveries.deliver(message).await?;
            self.notes.add(format!("delivered {number}"));
            let notes = self.notes.clone();
            tokio::spawn(async move {
                notes.add(format!("{number} {:?}", answer.await));
            });
        }
        match topic {
            "early" => return Ok(()),
            "stubborn" => pending().await,
            _ => deliveries.closed().await,
        }
        self.notes.add(format!("left {topic}"));
        Ok(())
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        (!self.settings.plain).then_some(self)
    }

    fn pausable(&self) -> Option<&dyn Pausable> {
        self.settings.pausable.then_some(self)
    }
}

#[async_trait]
impl BulkPublisher for Acting {
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        self.act("bulk publish", &publication.topic).await?;
        let failed = publication.entries.into_iter();
        let failed = failed.filter(|entry| entry.data == "bad");
        Ok(failed
            .map(|entry| FailedEntry::new(entry.entry_id, "it is bad"))
            .collect())
    }
}

#[async_trait]
impl Pausable for Acting {
    async fn pause(&self) -> Result<()> {
        self.act("pause", &self.settings.label).await
    }

    async fn resume(&self) -> Result<()> {
        self.act("resume", &self.settings.label).await
    }
}

#[async_trait]
impl InputBinding for Acting {
    /// Delivers as many events as the settings say, and notes how each is answered.
    async fn read(&self, events: Events) -> Result<()> {
        self.act("read", &self.settings.label).await?;
        for number in 1..=self.settings.size {
            let event = Event::new(format!("event {number}"));
            let event = event.with_metadata(Metadata::from([("number", number.to_string())]));
            let answer = events.deliver(event).await?;
            let notes = self.notes.clone();
            tokio::spawn(async move {
                notes.add(format!("{number} {:?}", answer.await));
            });
        }
        if self.settings.plain {
            return Err(Error::new(ErrorKind::Denied, "the source has closed"));
        }
        events.closed().await;
        Ok(())
    }
}

#[async_trait]
impl OutputBinding for Acting {
    fn operations(&self) -> Vec<String> {
        vec!["create".to_owned(), "get".to_owned()]
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        self.act("invoke", &request.operation).await?;
        if !self.operations().contains(&request.operation) {
            let text = format!("unknown operation {:?}", request.operation);
            return Err(Error::invalid_request(text));
        }
        let mut response = InvokeResponse::new(request.data);
        response.metadata = request.metadata;
        response.content_type = Some("text/plain".to_owned());
        Ok(response)
    }
}

#[async_trait]
impl SecretStore for Acting {
    fn claims(&self) -> SecretClaims {
        SecretClaims::none().with_multiple_keys()
    }

    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        self.act("secret", &request.name).await?;
        if request.name == "missing" {
            return Err(Error::new(ErrorKind::NotFound, "secret missing not found"));
        }
        Ok(Secret::single(request.name, "sesame"))
    }

    async fn bulk_get(&self, _: Metadata) -> Result<BTreeMap<String, Secret>> {
        let pair = Secret::from_iter([("user", "a"), ("password", "b")]);
        Ok(BTreeMap::from([("db".to_owned(), pair)]))
    }
}
