//! One call in flight: what it does again and again, and on which connection.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use dapr_pluggable::Error;
use dapr_pluggable::pubsub::{PubSub, Publication};
use dapr_pluggable::state::{Entry, Etag, GetRequest, Parallelism, SetRequest, StateStore};

use super::plan::{Operation, Plan};
use crate::call::target::Target;

/// What calls are made on.
#[derive(Clone)]
pub(super) enum Peer {
    Store(Arc<dyn StateStore>),
    Broker(Arc<dyn PubSub>),
}

impl Peer {
    /// A connection for an operation.
    pub(super) async fn connect(target: &Target, operation: Operation) -> Result<Self> {
        Ok(if operation.is_of_a_broker() {
            Self::Broker(target.pubsub().await?)
        } else {
            Self::Store(target.state_store().await?)
        })
    }
}

/// What one call in flight does, and its keys.
pub(super) struct Slot {
    operation: Operation,
    /// The keys of each call.
    calls: Vec<Vec<String>>,
    next: usize,
    topic: String,
    value: Bytes,
}

impl Slot {
    pub(super) fn new(plan: &Plan, calls: Vec<Vec<String>>) -> Self {
        Self {
            operation: plan.operation,
            calls,
            next: 0,
            topic: plan.topic.clone(),
            value: plan.value.clone(),
        }
    }

    /// The operation, as on the command line.
    pub(super) fn name(&self) -> &'static str {
        self.operation.name()
    }

    /// Does it once.
    pub(super) async fn operate(&mut self, peer: &Peer) -> Result<(), Error> {
        match peer {
            Peer::Store(store) => self.operate_on(&**store).await,
            Peer::Broker(broker) => {
                let publication = Publication::new(&self.topic, self.value.clone());
                broker.publish(publication).await
            }
        }
    }

    async fn operate_on(&mut self, store: &dyn StateStore) -> Result<(), Error> {
        let keys = self.calls.get(self.next).map_or(&[][..], Vec::as_slice);
        let Some(key) = keys.first() else {
            return Err(Error::internal("there is no key"));
        };
        self.next = (self.next + 1) % self.calls.len();
        match self.operation {
            Operation::BulkGet => self.read_all(store, keys).await,
            Operation::Set => store.set(self.write(key)).await,
            Operation::Update => {
                let etag = self.read(store, key).await?;
                if etag.is_none() {
                    let text = format!("the value of {key:?} came without an etag");
                    return Err(Error::internal(text));
                }
                let mut request = self.write(key);
                request.etag = etag;
                store.set(request).await
            }
            _ => self.read(store, key).await.map(drop),
        }
    }

    fn write(&self, key: &str) -> SetRequest {
        SetRequest::new(key, self.value.clone())
    }

    /// Reads a value and checks that it is the one written.
    async fn read(&self, store: &dyn StateStore, key: &str) -> Result<Option<Etag>, Error> {
        let entry = store.get(GetRequest::new(key)).await?;
        self.expect(key, entry)
    }

    async fn read_all(&self, store: &dyn StateStore, keys: &[String]) -> Result<(), Error> {
        let requests = keys.iter().map(GetRequest::new).collect();
        let entries = store.bulk_get(requests, Parallelism::new(0)).await?;
        if entries.len() != keys.len() {
            let (asked, came) = (keys.len(), entries.len());
            let text = format!("{came} values came for {asked} keys");
            return Err(Error::internal(text));
        }
        for entry in entries {
            self.expect(&entry.key, entry.outcome?)?;
        }
        Ok(())
    }

    fn expect(&self, key: &str, entry: Option<Entry>) -> Result<Option<Etag>, Error> {
        match entry {
            Some(entry) if entry.value == self.value => Ok(entry.etag),
            Some(_) => Err(Error::internal(format!(
                "the value of {key:?} is not the one that was written"
            ))),
            None => Err(Error::internal(format!("the value of {key:?} is gone"))),
        }
    }
}
