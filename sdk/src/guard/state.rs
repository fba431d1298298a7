//! The state store under guard.

use std::num::NonZeroU32;

use async_trait::async_trait;

use super::{Guard, Kind};
use crate::component::Block;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::observe::{Method, Scope};
use crate::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, Query, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};

/// The methods of a state store.
pub(crate) struct Methods {
    get: Method,
    set: Method,
    delete: Method,
    bulk_get: Method,
    bulk_set: Method,
    bulk_delete: Method,
    transact: Method,
    max_operations: Method,
    query: Method,
}

/// State stores.
pub(crate) enum StateKind {}

impl Kind for StateKind {
    const BLOCK: Block = Block::StateStore;
    type Value = dyn StateStore;
    type Methods = Methods;

    fn methods(scope: &Scope) -> Methods {
        Methods {
            get: scope.method("get"),
            set: scope.method("set"),
            delete: scope.method("delete"),
            bulk_get: scope.method("bulk_get"),
            bulk_set: scope.method("bulk_set"),
            bulk_delete: scope.method("bulk_delete"),
            transact: scope.method("transact"),
            max_operations: scope.method("max_operations"),
            query: scope.method("query"),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for Guard<StateKind> {
    fn claims(&self) -> StateClaims {
        self.ask("claims", StateStore::claims).unwrap_or_default()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        self.call(&self.methods.get, self.value.get(request)).await
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.call(&self.methods.set, self.value.set(request)).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.call(&self.methods.delete, self.value.delete(request))
            .await
    }

    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        let call = self.value.bulk_get(requests, parallelism);
        self.call(&self.methods.bulk_get, call).await
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, parallelism: Parallelism) -> Result<()> {
        let call = self.value.bulk_set(requests, parallelism);
        self.call(&self.methods.bulk_set, call).await
    }

    async fn bulk_delete(
        &self,
        requests: Vec<DeleteRequest>,
        parallelism: Parallelism,
    ) -> Result<()> {
        let call = self.value.bulk_delete(requests, parallelism);
        self.call(&self.methods.bulk_delete, call).await
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        self.ask("transactional", StateStore::transactional)??;
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        self.ask("queryable", StateStore::queryable)??;
        Some(self)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl TransactionalStateStore for Guard<StateKind> {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        let call = async { self.inner_transactional()?.max_operations().await };
        self.call(&self.methods.max_operations, call).await
    }

    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        let call = async {
            let store = self.inner_transactional()?;
            store.transact(operations, metadata).await
        };
        self.call(&self.methods.transact, call).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl QueryableStateStore for Guard<StateKind> {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        let call = async {
            let store = self.value.queryable();
            let store = store.ok_or_else(|| Error::unsupported("query"))?;
            store.query(query).await
        };
        self.call(&self.methods.query, call).await
    }
}

impl Guard<StateKind> {
    fn inner_transactional(&self) -> Result<&dyn TransactionalStateStore> {
        self.value
            .transactional()
            .ok_or_else(|| Error::unsupported("transact"))
    }
}
