//! The state store: a hash for each value, as Dapr's own `state.redis` keeps it, or a document where the server has
//! RedisJSON and the value is JSON.

mod change;
mod hash;
mod json;
mod query;
mod replicas;
mod writer;

use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, Query, QueryPage,
    QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore, require_key,
};
use dapr_pluggable::{Component, Error, InstanceId, Metadata, Open, Result, async_trait};
use redis::{Cmd, RedisError, RedisResult, Value};

use self::change::{Change, Defaults, Form, MAX_TTL};
use self::query::{Index, Search};
use self::replicas::Replicas;
use self::writer::Writer;
use crate::connection::Connection;
use crate::settings::RedisStateSettings;

/// A state store in Redis.
#[derive(Debug)]
pub struct RedisStateStore {
    connection: Connection,
    writer: Writer,
    indexes: Vec<Index>,
    defaults: Defaults,
}

#[async_trait]
impl Open for RedisStateStore {
    type Settings = RedisStateSettings;

    const RULES: Rules = Rules::Strict;

    async fn open(settings: RedisStateSettings, _instance: &InstanceId) -> Result<Self> {
        if let Some(ttl) = settings.ttl_in_seconds.filter(|ttl| *ttl > MAX_TTL) {
            return Err(Error::invalid_settings(format!(
                "invalid value \"{ttl}\" for key \"ttlInSeconds\": expected a number of seconds, at most {MAX_TTL}"
            )));
        }
        let in_store = |error: Error| error.context("redis store");
        let indexes = query::indexes(&settings.query_indexes).map_err(in_store)?;
        let server = settings.connection().map_err(in_store)?;
        let connection = Connection::open(&server).await;
        let connection = connection.map_err(in_store)?;
        let replicas = Replicas::find(&connection, &server).await;
        let writer = Writer::new(replicas.map_err(in_store)?);
        for index in &indexes {
            let created = create(&connection, index).await;
            created.map_err(|error| in_store(error.context("error registering query schemas")))?;
        }
        let has_json = has_json(&connection).await.map_err(in_store)?;
        Ok(Self {
            connection,
            writer,
            indexes,
            defaults: Defaults {
                ttl: settings.ttl_in_seconds,
                has_json,
            },
        })
    }
}

#[async_trait]
impl Component for RedisStateStore {
    async fn ping(&self) -> Result<()> {
        self.connection.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.writer.close();
        self.connection.close();
        Ok(())
    }
}

#[async_trait]
impl StateStore for RedisStateStore {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag().with_ttl()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        require_key(&request.key, "get")?;
        let answer = self.connection.read(&self.read(&request)).await;
        self.entry(&request, answer).await
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let form = self.form_of(&request);
        let change = Change::set(&request, form, &self.defaults)?;
        self.writer.make(&self.connection, &change).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let form = self.defaults.form(&request.metadata, None);
        let change = Change::delete(&request, form)?;
        self.writer.make(&self.connection, &change).await
    }

    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        _parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        let with_key = requests.iter().filter(|request| !request.key.is_empty());
        let reads: Vec<Cmd> = with_key.map(|request| self.read(request)).collect();
        let answers = self.connection.read_all(&reads).await;
        let answers = answers.map_err(|error| self.connection.error(error))?;
        let mut answers = answers.into_iter();
        let mut entries = Vec::with_capacity(requests.len());
        for request in requests {
            let outcome = match require_key(&request.key, "get") {
                Ok(()) => {
                    let answer = answers.next().unwrap_or(Ok(Value::Nil));
                    self.entry(&request, answer).await
                }
                Err(error) => Err(error),
            };
            entries.push(BulkEntry::new(request.key, outcome));
        }
        Ok(entries)
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, _parallelism: Parallelism) -> Result<()> {
        let changes = requests.iter().map(|request| {
            let change = Change::set(request, self.form_of(request), &self.defaults);
            (request.key.as_str(), change)
        });
        self.writer.make_each(&self.connection, changes).await
    }

    async fn bulk_delete(
        &self,
        requests: Vec<DeleteRequest>,
        _parallelism: Parallelism,
    ) -> Result<()> {
        let changes = requests.iter().map(|request| {
            let form = self.defaults.form(&request.metadata, None);
            (request.key.as_str(), Change::delete(request, form))
        });
        self.writer.make_each(&self.connection, changes).await
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        match self.defaults.has_json {
            true => Some(self),
            false => None,
        }
    }
}

#[async_trait]
impl TransactionalStateStore for RedisStateStore {
    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        if operations.is_empty() {
            return Ok(());
        }
        let of_all = self.defaults.form(&metadata, None);
        let changes = operations.iter().map(|operation| match operation {
            Operation::Set(request) => {
                let form = of_all.or(self.form_of(request));
                Change::set(request, form, &self.defaults)
            }
            Operation::Delete(request) => {
                let form = of_all.or(self.defaults.form(&request.metadata, None));
                Change::delete(request, form)
            }
            other => Err(Error::unsupported(format!(
                "this operation on key {:?}",
                other.key()
            ))),
        });
        let changes = changes.collect::<Result<Vec<Change<'_>>>>()?;
        self.writer.make_all(&self.connection, &changes).await
    }
}

#[async_trait]
impl QueryableStateStore for RedisStateStore {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        let search = Search::new(&query, &self.indexes)?;
        let answer = self.connection.read(&search.command).await;
        let answer = answer.map_err(|error| self.connection.error(error))?;
        query::page(answer, search.offset)
    }
}

impl RedisStateStore {
    fn read(&self, request: &GetRequest) -> Cmd {
        match self.defaults.form(&request.metadata, None) {
            Form::Hash => hash::read(&request.key),
            Form::Json => json::read(&request.key),
        }
    }

    fn form_of(&self, request: &SetRequest) -> Form {
        let content_type = request.content_type.as_deref();
        self.defaults.form(&request.metadata, content_type)
    }

    /// The value in the answer to a read.
    async fn entry(
        &self,
        request: &GetRequest,
        answer: RedisResult<Value>,
    ) -> Result<Option<Entry>> {
        let key = &request.key;
        match (answer, self.defaults.form(&request.metadata, None)) {
            (Ok(answer), Form::Hash) => hash::entry(key, answer),
            (Ok(answer), Form::Json) => json::entry(key, answer),
            (Err(error), Form::Hash) if error.code() == Some("WRONGTYPE") => {
                self.get_plain(key).await
            }
            (Err(error), _) => Err(self.error(key, error)),
        }
    }

    /// What old versions of Dapr have written: a string, which has no etag.
    async fn get_plain(&self, key: &str) -> Result<Option<Entry>> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        let answer = self.connection.read(&command).await;
        match answer.map_err(|error| self.error(key, error))? {
            Value::BulkString(data) => Ok(Some(Entry::new(data))),
            _ => Ok(None),
        }
    }

    fn error(&self, key: &str, error: RedisError) -> Error {
        self.connection.error(error).context(format!("key {key:?}"))
    }
}

/// Whether the server has RedisJSON: one without it does not know the command.
async fn has_json(connection: &Connection) -> Result<bool> {
    match connection.read(&json::probe()).await {
        Ok(_) => Ok(true),
        Err(error) if json::is_unknown_command(&error) => Ok(false),
        Err(error) if matches!(error.code(), Some("ERR" | "NOPERM")) => Ok(true),
        Err(error) => Err(connection.error(error)),
    }
}

/// Makes an index, in place of one of its name.
async fn create(connection: &Connection, index: &Index) -> Result<()> {
    let mut answer = connection.write(&index.create()).await;
    if answer.as_ref().is_err_and(Index::exists) {
        let dropped = connection.write(&index.drop()).await;
        dropped.map_err(|error| connection.error(error))?;
        answer = connection.write(&index.create()).await;
    }
    answer.map_err(|error| connection.error(error))?;
    Ok(())
}
