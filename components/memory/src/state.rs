//! The state store: a table behind one lock.

mod member;
mod query;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr_pluggable::state::{
    DeleteRequest, Entry, GetRequest, Operation, Query, QueryPage, QueryableStateStore, SetRequest,
    StateClaims, StateStore, TransactionalStateStore, require_key,
};
use dapr_pluggable::{Component, Error, Metadata, Result, async_trait};
use tokio::time::Instant;

use self::query::Search;
pub(crate) use self::table::Table;
use self::table::Write;

/// A state store in memory, with etags, time to live, transactions and queries.
///
/// It has no metadata. Bulk calls are the SDK's own, made of single ones: with nothing to save on the way to a backend
/// there is nothing to gain.
#[derive(Debug)]
pub struct MemoryStateStore {
    table: Arc<Mutex<Table>>,
}

/// Memory always answers and holds nothing that must be given up, so the life of the component is the default one.
impl Component for MemoryStateStore {}

#[async_trait]
impl StateStore for MemoryStateStore {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag().with_ttl()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        require_key(&request.key, "get")?;
        Ok(self.table().get(&request.key, Instant::now()))
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let write = Write::set(request)?;
        self.table().write(vec![write], Instant::now())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let write = Write::delete(request)?;
        self.table().write(vec![write], Instant::now())
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for MemoryStateStore {
    async fn transact(&self, operations: Vec<Operation>, _: Metadata) -> Result<()> {
        // What can be refused without looking at the data is refused before anything happens.
        let writes: Result<Vec<_>> = operations.into_iter().map(Write::of).collect();
        self.table().write(writes?, Instant::now())
    }
}

#[async_trait]
impl QueryableStateStore for MemoryStateStore {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        let search = Search::new(query)?;
        let rows = self.table().rows(Instant::now());
        // It reads every value: too long for a thread on which other calls wait.
        tokio::task::spawn_blocking(move || search.run(rows))
            .await
            .map_err(|error| Error::internal("the query did not end").with_source(error))?
    }
}

impl MemoryStateStore {
    pub(crate) fn new(table: Arc<Mutex<Table>>) -> Self {
        Self { table }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A write that panicked may have left half a transaction, but never a broken table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
