//! Every way to connect, and what becomes of connections that break.

mod cluster;
mod dedicated;
mod faults;
mod sentinel;
mod settings;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::state::{GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Error, ErrorKind, InstanceId, Metadata, Opener as _, Result};
use tokio::time::Instant;

/// The longest that a call may take while Redis is away, and a little for a busy machine.
const FAST: Duration = Duration::from_millis(3500);

async fn try_open(properties: &[(&str, &str)]) -> Result<Arc<dyn StateStore>> {
    let metadata: Metadata = properties.iter().copied().collect();
    dapr_component_redis::blocks()
        .open_state_store(&InstanceId::new("state"), &metadata)
        .await
}

async fn open(properties: &[(&str, &str)]) -> Arc<dyn StateStore> {
    try_open(properties).await.unwrap()
}

/// Why a store is not opened.
async fn refusal(properties: &[(&str, &str)]) -> Error {
    try_open(properties).await.map(drop).unwrap_err()
}

async fn set(store: &Arc<dyn StateStore>, key: &str, value: &str) -> Result<()> {
    store
        .set(SetRequest::new(key, value.as_bytes().to_vec()))
        .await
}

async fn get(store: &Arc<dyn StateStore>, key: &str) -> Result<Option<String>> {
    let entry = store.get(GetRequest::new(key)).await?;
    Ok(entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()))
}

/// A set and a get that must say that the server is not there, and soon.
async fn fails_fast(store: &Arc<dyn StateStore>) {
    for _ in 0..3 {
        let begin = Instant::now();
        let (written, read) = tokio::join!(set(store, "away", "x"), get(store, "away"));
        for error in [written.unwrap_err(), read.unwrap_err()] {
            assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        }
        assert!(begin.elapsed() < FAST, "{:?}", begin.elapsed());
    }
}
