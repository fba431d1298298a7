//! The state store: one row a key, in the table of Dapr's own SQLite component.

mod cleanup;
mod query;
mod read;
mod schema;
mod value;
mod write;

use std::sync::Arc;

use dapr_pluggable::settings::Aliases;
use dapr_pluggable::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, Query, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore, require_key,
};
use dapr_pluggable::{Component, Error, InstanceId, Metadata, Open, Result, async_trait};
use tokio::task::JoinSet;

use self::schema::Tables;
use self::write::Write;
use crate::connection::atomically;
use crate::database::Database;
use crate::schema::Schema;
use crate::settings::{ALIASES, SqliteStateSettings};

/// How many keys can be read where the caller is.
const FEW: usize = 64;

/// A state store in a SQLite database, with etags, time to live, transactions and queries.
#[derive(Debug)]
pub struct SqliteStateStore {
    database: Arc<Database>,
    tables: Arc<Tables>,
    /// Removes expired rows until the store is closed or dropped.
    cleanup: tokio::sync::Mutex<JoinSet<()>>,
}

#[async_trait]
impl Open for SqliteStateStore {
    type Settings = SqliteStateSettings;

    const ALIASES: Aliases = ALIASES;

    async fn open(settings: SqliteStateSettings, _: &InstanceId) -> Result<Self> {
        settings.validate()?;
        let tables = Arc::new(Tables::new(&settings));
        let schema = Arc::clone(&tables) as Arc<dyn Schema>;
        let database = Arc::new(Database::open(&settings.connection, schema).await?);
        let mut cleanup = JoinSet::new();
        if let Some(interval) = settings.cleanup_interval.positive() {
            cleanup.spawn(cleanup::run(
                Arc::clone(&database),
                Arc::clone(&tables),
                interval,
            ));
        }
        Ok(Self {
            database,
            tables,
            cleanup: tokio::sync::Mutex::new(cleanup),
        })
    }
}

#[async_trait]
impl Component for SqliteStateStore {
    async fn ping(&self) -> Result<()> {
        self.database.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.cleanup.lock().await.shutdown().await;
        self.database.close().await
    }
}

#[async_trait]
impl StateStore for SqliteStateStore {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag().with_ttl()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        require_key(&request.key, "get")?;
        let tables = Arc::clone(&self.tables);
        self.database
            .read(move |connection| read::one(connection, &tables, &request.key))
            .await
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.write(Write::set(request)?).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.write(Write::delete(request)?).await
    }

    /// One query for all of them.
    async fn bulk_get(&self, requests: Vec<GetRequest>, _: Parallelism) -> Result<Vec<BulkEntry>> {
        let keys: Vec<String> = requests.into_iter().map(|request| request.key).collect();
        let tables = Arc::clone(&self.tables);
        let few = keys.len() <= FEW;
        let read = move |connection: &_| read::many(connection, &tables, &keys);
        if few {
            self.database.read(read).await
        } else {
            self.database.scan(read).await
        }
    }

    /// One transaction, in which each item succeeds or fails for itself.
    async fn bulk_set(&self, requests: Vec<SetRequest>, _: Parallelism) -> Result<()> {
        let writes = requests.into_iter().map(|request| {
            let key = request.key.clone();
            (key, Write::set(request))
        });
        self.write_each(writes.collect()).await
    }

    /// One transaction, in which each item succeeds or fails for itself.
    async fn bulk_delete(&self, requests: Vec<DeleteRequest>, _: Parallelism) -> Result<()> {
        let writes = requests.into_iter().map(|request| {
            let key = request.key.clone();
            (key, Write::delete(request))
        });
        self.write_each(writes.collect()).await
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for SqliteStateStore {
    async fn transact(&self, operations: Vec<Operation>, _: Metadata) -> Result<()> {
        // What can be refused without looking at the data is refused before anything happens.
        let writes = operations
            .into_iter()
            .map(Write::of)
            .collect::<Result<Vec<_>>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        let tables = Arc::clone(&self.tables);
        self.database
            .write(move |connection| {
                atomically(connection, || {
                    writes
                        .iter()
                        .try_for_each(|write| write.run(connection, &tables))
                })
            })
            .await
    }
}

#[async_trait]
impl QueryableStateStore for SqliteStateStore {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        let search = query::Search::new(&query, &self.tables)?;
        self.database
            .scan(move |connection| search.run(connection))
            .await
    }
}

impl SqliteStateStore {
    async fn write(&self, write: Write) -> Result<()> {
        let tables = Arc::clone(&self.tables);
        self.database
            .write(move |connection| write.run(connection, &tables))
            .await
    }

    async fn write_each(&self, mut writes: Vec<(String, Result<Write>)>) -> Result<()> {
        let mut failed = Vec::new();
        let mut valid = Vec::with_capacity(writes.len());
        for (index, (key, write)) in writes.drain(..).enumerate() {
            match write {
                Ok(write) => valid.push((index, key, write)),
                Err(error) => failed.push((index, key, error)),
            }
        }
        if !valid.is_empty() {
            let tables = Arc::clone(&self.tables);
            let refused = self
                .database
                .write(move |connection| write::each(connection, &tables, &valid))
                .await?;
            failed.extend(refused);
        }
        failed.sort_by_key(|(index, ..)| *index);
        let failed = failed.into_iter().map(|(_, key, error)| (key, error));
        Error::join(failed.collect()).map_or(Ok(()), Err)
    }
}
