//! State stores behind a socket.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use dapr_pluggable_protocol::components::v1 as proto;
use proto::queriable_state_store_client::QueriableStateStoreClient;
use proto::state_store_client::StateStoreClient;
use proto::transactional_state_store_client::TransactionalStateStoreClient;
use proto::transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::Remote;
use super::connection::{Instance, LARGEST_ANSWER};
use crate::component::Component;
use crate::dial::ANSWER_CAP;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::StateKind;
use crate::metadata::Metadata;
use crate::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, Query, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};
use crate::wire::state::{Features, QUERY_API};
use crate::wire::{Wire as _, init_metadata};

struct RemoteStateStore {
    instance: Instance,
    features: Features,
}

#[async_trait]
impl Remote for StateKind {
    async fn init(instance: &Instance, properties: Metadata) -> Result<()> {
        let request = instance.request(proto::InitRequest {
            metadata: init_metadata(properties),
        });
        instance.opened(service(instance).init(request).await)
    }

    async fn describe(instance: Instance) -> Result<Arc<dyn StateStore>> {
        let request = instance.request(proto::FeaturesRequest {});
        let features = instance.answer(service(&instance).features(request).await)?;
        Ok(Arc::new(RemoteStateStore { instance, features }))
    }
}

fn service(instance: &Instance) -> StateStoreClient<Channel> {
    StateStoreClient::new(instance.channel()).max_decoding_message_size(LARGEST_ANSWER)
}

#[async_trait]
impl Component for RemoteStateStore {
    async fn ping(&self) -> Result<()> {
        let request = self.instance.request(proto::PingRequest {});
        let answer = service(&self.instance).ping(request).await;
        self.instance.done(answer)
    }
}

#[async_trait]
impl StateStore for RemoteStateStore {
    fn claims(&self) -> StateClaims {
        let claims = self.features.claims.clone();
        // Queries can be asked for in any case, so the accessor does not say whether the component has them.
        if self.features.queryable {
            claims.with_other(QUERY_API)
        } else {
            claims
        }
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        let request = self.instance.request(request.into_wire());
        self.instance
            .answer(service(&self.instance).get(request).await)
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let request = self.instance.request(request.into_wire());
        self.instance
            .done(service(&self.instance).set(request).await)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let request = self.instance.request(request.into_wire());
        self.instance
            .done(service(&self.instance).delete(request).await)
    }

    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        let keys: Vec<String> = requests.iter().map(|request| request.key.clone()).collect();
        let request = self.instance.request((requests, parallelism).into_wire());
        let answer = service(&self.instance).bulk_get(request).await;
        self.instance
            .answer(answer)
            .map(|entries| in_order(keys, entries))
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, parallelism: Parallelism) -> Result<()> {
        let request = self.instance.request((requests, parallelism).into_wire());
        self.instance
            .done(service(&self.instance).bulk_set(request).await)
    }

    async fn bulk_delete(
        &self,
        requests: Vec<DeleteRequest>,
        parallelism: Parallelism,
    ) -> Result<()> {
        let request = self.instance.request((requests, parallelism).into_wire());
        self.instance
            .done(service(&self.instance).bulk_delete(request).await)
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        self.features
            .transactional
            .then_some(self as &dyn TransactionalStateStore)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for RemoteStateStore {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        let mut service = TransactionalStoreMultiMaxSizeClient::new(self.instance.channel());
        let mut request = self.instance.request(proto::MultiMaxSizeRequest {});
        request.set_timeout(ANSWER_CAP);
        match timeout(ANSWER_CAP, service.multi_max_size(request)).await {
            Ok(Err(status)) if status.code() == tonic::Code::Unimplemented => Ok(None),
            Ok(answer) => self.instance.answer(answer),
            Err(_) => Err(Error::new(
                ErrorKind::TimedOut,
                format!(
                    "ask {} how large a transaction may be: no answer within {ANSWER_CAP:?}",
                    self.instance.socket().display()
                ),
            )),
        }
    }

    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        let mut service = TransactionalStateStoreClient::new(self.instance.channel());
        let request = self.instance.request((operations, metadata).into_wire());
        self.instance.done(service.transact(request).await)
    }
}

#[async_trait]
impl QueryableStateStore for RemoteStateStore {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        let mut service = QueriableStateStoreClient::new(self.instance.channel())
            .max_decoding_message_size(LARGEST_ANSWER);
        let request = self.instance.request(query.into_wire());
        self.instance.answer(service.query(request).await)
    }
}

/// One answer a key, in the order of the keys: components of others may answer in any order, and leave keys out.
fn in_order(keys: Vec<String>, entries: Vec<BulkEntry>) -> Vec<BulkEntry> {
    if entries.iter().map(|entry| &entry.key).eq(&keys) {
        return entries;
    }
    let mut outcomes: HashMap<String, _> = entries
        .into_iter()
        .map(|entry| (entry.key, entry.outcome))
        .collect();
    keys.into_iter()
        .map(|key| {
            let outcome = outcomes.remove(&key).unwrap_or_else(|| {
                let text = format!("get {key:?}: the component did not answer for this key");
                Err(Error::internal(text))
            });
            BulkEntry::new(key, outcome)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_answers_are_put_in_the_order_of_the_requests() {
        let keys = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let entry = |key: &str| BulkEntry::new(key, Ok(Some(Entry::new(key.to_owned()))));
        let sorted = in_order(keys(), vec![entry("c"), entry("a")]);
        let seen: Vec<_> = sorted
            .iter()
            .map(|entry| (entry.key.as_str(), entry.outcome.is_ok()))
            .collect();
        assert_eq!(seen, [("a", true), ("b", false), ("c", true)]);
        let value = |entry: &BulkEntry| entry.outcome.as_ref().unwrap().clone().unwrap().value;
        assert_eq!(value(&sorted[2]), "c");
    }
}
