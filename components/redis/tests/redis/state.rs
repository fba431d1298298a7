//! The state store.

mod bulk;
mod cluster;
mod conditions;
mod json;
mod transaction;
mod ttl;

use std::sync::Arc;

use dapr_pluggable::state::{
    Concurrency, DeleteRequest, Entry, GetRequest, Operation, SetRequest, StateStore,
};
use dapr_pluggable::{InstanceId, Metadata, Opener as _, Result};
use dapr_pluggable_testbed::Redis;

/// The metadata of a resource on a server.
pub(crate) fn metadata(redis: &Redis, properties: &[(&str, &str)]) -> Metadata {
    let host = redis.host();
    let mut all = Metadata::from([("redisHost", host.as_str())]);
    for (key, value) in properties {
        all.insert(*key, *value);
    }
    all
}

pub(crate) async fn try_open(metadata: &Metadata) -> Result<Arc<dyn StateStore>> {
    dapr_component_redis::blocks()
        .open_state_store(&InstanceId::new("statestore"), metadata)
        .await
}

pub(crate) async fn open(redis: &Redis, properties: &[(&str, &str)]) -> Arc<dyn StateStore> {
    try_open(&metadata(redis, properties)).await.unwrap()
}

/// A set with an etag, or with none.
pub(crate) fn set(key: &str, value: &'static str, etag: Option<&str>) -> SetRequest {
    let mut request = SetRequest::new(key, value);
    request.etag = etag.map(Into::into);
    request
}

pub(crate) fn first(mut request: SetRequest) -> SetRequest {
    request.concurrency = Concurrency::FirstWrite;
    request
}

pub(crate) fn delete(key: &str, etag: Option<&str>) -> DeleteRequest {
    let mut request = DeleteRequest::new(key);
    request.etag = etag.map(Into::into);
    request
}

pub(crate) async fn get(store: &Arc<dyn StateStore>, key: &str) -> Option<Entry> {
    store.get(GetRequest::new(key)).await.unwrap()
}

pub(crate) async fn transact(
    store: &Arc<dyn StateStore>,
    operations: Vec<Operation>,
) -> Result<()> {
    let transactional = store.transactional().unwrap();
    transactional.transact(operations, Metadata::new()).await
}

/// What is at a key: the fields of its hash in their order, each with its value.
pub(crate) async fn fields(redis: &Redis, key: &str) -> Vec<String> {
    redis.command(&["HGETALL", key]).await
}
