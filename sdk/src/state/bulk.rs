//! Bulk calls made of single ones, for stores that have nothing better.

use futures::StreamExt;
use futures::stream;

use super::{BulkEntry, DeleteRequest, GetRequest, Parallelism, SetRequest, StateStore};
use crate::error::{Error, Result};

pub(super) async fn get<S: StateStore + ?Sized>(
    store: &S,
    requests: Vec<GetRequest>,
    parallelism: Parallelism,
) -> Result<Vec<BulkEntry>> {
    let calls = stream::iter(requests).map(|request| async move {
        let key = request.key.clone();
        BulkEntry::new(key, store.get(request).await)
    });
    Ok(calls.buffered(parallelism.width()).collect().await)
}

pub(super) async fn set<S: StateStore + ?Sized>(
    store: &S,
    requests: Vec<SetRequest>,
    parallelism: Parallelism,
) -> Result<()> {
    let calls = stream::iter(requests).map(|request| async move {
        let key = request.key.clone();
        (key, store.set(request).await)
    });
    report(calls.buffered(parallelism.width()).collect().await)
}

pub(super) async fn delete<S: StateStore + ?Sized>(
    store: &S,
    requests: Vec<DeleteRequest>,
    parallelism: Parallelism,
) -> Result<()> {
    let calls = stream::iter(requests).map(|request| async move {
        let key = request.key.clone();
        (key, store.delete(request).await)
    });
    report(calls.buffered(parallelism.width()).collect().await)
}

fn report(outcomes: Vec<(String, Result<()>)>) -> Result<()> {
    let failed: Vec<(String, Error)> = outcomes
        .into_iter()
        .filter_map(|(key, outcome)| Some((key, outcome.err()?)))
        .collect();
    match Error::join(failed) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
