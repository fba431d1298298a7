//! The state store: a hash for each value, as Dapr's own `state.redis` keeps it, or a document where the server has
//! RedisJSON and the value is JSON.

mod change;
mod hash;
mod json;

use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, SetRequest, StateClaims,
    StateStore, TransactionalStateStore, require_key,
};
use dapr_pluggable::{
    Component, Error, ErrorKind, InstanceId, Metadata, Open, Result, async_trait,
};
use redis::{Cmd, RedisError, RedisResult, Value};

use self::change::{Change, Defaults, Form, MAX_TTL};
use crate::connection::Connection;
use crate::script::Script;
use crate::settings::RedisStateSettings;

/// A state store in Redis.
#[derive(Debug)]
pub struct RedisStateStore {
    connection: Connection,
    set: Script,
    delete: Script,
    transact: Script,
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
        let connection = Connection::open(&settings.connection).await;
        let connection = connection.map_err(in_store)?;
        let has_json = has_json(&connection).await.map_err(in_store)?;
        Ok(Self {
            connection,
            set: Script::new(include_str!("state/set.lua")),
            delete: Script::new(include_str!("state/delete.lua")),
            transact: Script::new(include_str!("state/transact.lua")),
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
        self.make(&Change::set(&request, form, &self.defaults)?)
            .await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let form = self.defaults.form(&request.metadata, None);
        self.make(&Change::delete(&request, form)?).await
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
        self.make_each(&self.set, changes).await
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
        self.make_each(&self.delete, changes).await
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
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
            other => Err(Error::unsupported(format!("{other:?}"))),
        });
        let changes = changes.collect::<Result<Vec<Change<'_>>>>()?;
        self.make_all(&changes).await
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

    /// Makes one change.
    async fn make(&self, change: &Change<'_>) -> Result<()> {
        let script = match (change.form(), change.is_delete()) {
            (Form::Json, _) => return self.make_all(std::slice::from_ref(change)).await,
            (Form::Hash, false) => &self.set,
            (Form::Hash, true) => &self.delete,
        };
        let command = change.alone(script);
        let answer = script.run(&self.connection, &command).await;
        match answer.map_err(|error| self.error(change.key(), error))? {
            Value::Int(1) => Ok(()),
            _ => Err(change.refused()),
        }
    }

    /// Makes changes, all or none.
    async fn make_all(&self, changes: &[Change<'_>]) -> Result<()> {
        let command = Change::together(changes, &self.transact);
        let answer = self.transact.run(&self.connection, &command).await;
        outcome(
            changes,
            answer.map_err(|error| self.in_keys(changes, error))?,
        )
    }

    /// Makes changes, each for itself, in one round trip to each server. `script` makes one of a hash.
    async fn make_each<'a>(
        &self,
        script: &Script,
        changes: impl Iterator<Item = (&'a str, Result<Change<'a>>)>,
    ) -> Result<()> {
        let (mut failed, mut valid) = (Vec::new(), Vec::new());
        for (index, (key, change)) in changes.enumerate() {
            match change {
                Ok(change) => valid.push((index, change)),
                Err(error) => failed.push((index, key, error)),
            }
        }
        let are_hashes = valid.iter().all(|(_, change)| change.form() == Form::Hash);
        let script = if are_hashes { script } else { &self.transact };
        let commands: Vec<Cmd> = valid
            .iter()
            .map(|(_, change)| match are_hashes {
                true => change.alone(script),
                false => Change::together(std::slice::from_ref(change), script),
            })
            .collect();
        match script.run_all(&self.connection, &commands).await {
            Ok(answers) => {
                for ((index, change), answer) in valid.iter().zip(answers) {
                    let outcome = match answer {
                        Ok(Value::Int(made)) if (made == 1) == are_hashes => Ok(()),
                        Ok(_) => Err(change.refused()),
                        Err(error) => Err(self.error(change.key(), error)),
                    };
                    if let Err(error) = outcome {
                        failed.push((*index, change.key(), error));
                    }
                }
            }
            // Nothing is known of any of them. It is said once, first, and beside what was wrong already.
            Err(error) => {
                if let Some((_, change)) = valid.first() {
                    let error = self.connection.error(error);
                    failed.push((0, change.key(), error));
                }
            }
        }
        failed.sort_by_key(|(index, ..)| *index);
        let failed = failed
            .into_iter()
            .map(|(_, key, error)| (key.to_owned(), error));
        Error::join(failed.collect()).map_or(Ok(()), Err)
    }

    fn error(&self, key: &str, error: RedisError) -> Error {
        self.connection.error(error).context(format!("key {key:?}"))
    }

    /// The error of a transaction as a whole.
    fn in_keys(&self, changes: &[Change<'_>], error: RedisError) -> Error {
        const NAMED: usize = 4;
        let error = self.connection.error(error);
        if *error.kind() != ErrorKind::InvalidRequest {
            return error;
        }
        let mut keys: Vec<String> = changes
            .iter()
            .take(NAMED)
            .map(|change| format!("{:?}", change.key()))
            .collect();
        if changes.len() > NAMED {
            keys.push("…".to_owned());
        }
        error.context(format!("a transaction of the keys {}", keys.join(", ")))
    }
}

/// What the answer to a transaction says.
fn outcome(changes: &[Change<'_>], answer: Value) -> Result<()> {
    let number = match answer {
        Value::Int(0) => return Ok(()),
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    };
    let refused = number.and_then(|number| changes.get(number.checked_sub(1)?));
    Err(refused.map_or_else(
        || Error::internal("an answer of the server that is none to a transaction"),
        Change::refused,
    ))
}

/// Whether the server has RedisJSON.
async fn has_json(connection: &Connection) -> Result<bool> {
    match connection.read(&json::probe()).await {
        Err(error) if json::is_unknown_command(&error) => Ok(false),
        Err(error) if error.code().is_none() => Err(connection.error(error)),
        _ => Ok(true),
    }
}
