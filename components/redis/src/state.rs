//! The state store: a hash for each value, as Dapr's own `state.redis` keeps it.

mod hash;

use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{
    BulkEntry, Concurrency, DeleteRequest, Entry, Etag, GetRequest, Parallelism, SetRequest,
    StateClaims, StateStore, require_key,
};
use dapr_pluggable::{Component, Error, ErrorKind, InstanceId, Open, Result, async_trait};
use redis::{Cmd, RedisResult, Value};

use crate::connection::Connection;
use crate::script::Script;
use crate::settings::RedisStateSettings;

/// A state store in Redis.
#[derive(Debug)]
pub struct RedisStateStore {
    connection: Connection,
    set: Script,
    delete: Script,
    /// The time to live of a value whose request has none, in seconds.
    ttl: Option<i64>,
}

#[async_trait]
impl Open for RedisStateStore {
    type Settings = RedisStateSettings;

    const RULES: Rules = Rules::Strict;

    async fn open(settings: RedisStateSettings, _instance: &InstanceId) -> Result<Self> {
        let connection = Connection::open(&settings.connection)
            .await
            .map_err(|error| error.context("redis store"))?;
        Ok(Self {
            connection,
            set: Script::new(include_str!("state/set.lua")),
            delete: Script::new(include_str!("state/delete.lua")),
            ttl: settings.ttl_in_seconds,
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
        let answer = self.connection.read(&hash::read(&request.key)).await;
        self.entry(&request.key, answer).await
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let command = self.set_command(&request)?;
        let answer = self.set.run(&self.connection, &command).await;
        self.written(&request.key, answer)
    }

    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        _parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        let reads: Vec<Cmd> = requests
            .iter()
            .map(|request| hash::read(&request.key))
            .collect();
        let answers = self.connection.read_all(&reads).await;
        let answers = answers.map_err(|error| self.connection.error(error))?;
        let mut entries = Vec::with_capacity(requests.len());
        for (request, answer) in requests.into_iter().zip(answers) {
            let outcome = self.entry(&request.key, answer).await;
            entries.push(BulkEntry::new(request.key, outcome));
        }
        Ok(entries)
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, _parallelism: Parallelism) -> Result<()> {
        let mut errors = Vec::new();
        let mut keys = Vec::with_capacity(requests.len());
        let mut commands = Vec::with_capacity(requests.len());
        for request in requests {
            match self.set_command(&request) {
                Ok(command) => {
                    commands.push(command);
                    keys.push(request.key);
                }
                Err(error) => errors.push((request.key, error)),
            }
        }
        let answers = self.set.run_all(&self.connection, &commands).await;
        let answers = answers.map_err(|error| self.connection.error(error))?;
        for (key, answer) in keys.into_iter().zip(answers) {
            if let Err(error) = self.written(&key, answer) {
                errors.push((key, error));
            }
        }
        Error::join(errors).map_or(Ok(()), Err)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        require_key(&request.key, "delete")?;
        let mut command = self.delete.on(&[&request.key]);
        command.arg(expected(request.etag.as_ref())?);
        let answer = self.delete.run(&self.connection, &command).await;
        self.written(&request.key, answer)
    }
}

impl RedisStateStore {
    /// The value in the answer to a read.
    async fn entry(&self, key: &str, answer: RedisResult<Value>) -> Result<Option<Entry>> {
        require_key(key, "get")?;
        match answer {
            Ok(answer) => hash::entry(key, answer),
            Err(error) if error.code() == Some("WRONGTYPE") => self.get_plain(key).await,
            Err(error) => Err(self.connection.error(error)),
        }
    }

    /// What the answer of a script says.
    fn written(&self, key: &str, answer: RedisResult<Value>) -> Result<()> {
        match answer.map_err(|error| self.connection.error(error))? {
            Value::Int(1) => Ok(()),
            _ => Err(Error::etag_mismatch(key)),
        }
    }

    /// What old versions of Dapr have written: a string, which has no etag.
    async fn get_plain(&self, key: &str) -> Result<Option<Entry>> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        let answer = self.connection.read(&command).await;
        match answer
            .map_err(|error| self.connection.error(error).context(format!("key {key:?}")))?
        {
            Value::BulkString(data) => Ok(Some(Entry::new(data))),
            _ => Ok(None),
        }
    }

    fn set_command(&self, request: &SetRequest) -> Result<Cmd> {
        require_key(&request.key, "set")?;
        let expected = match request.concurrency {
            Concurrency::LastWrite => String::new(),
            _ => expected(request.etag.as_ref())?,
        };
        let is_first = request.concurrency == Concurrency::FirstWrite;
        let mut command = self.set.on(&[&request.key]);
        command
            .arg(expected)
            .arg(&request.value[..])
            .arg(if is_first { "1" } else { "0" })
            .arg(self.ttl(request)?);
        Ok(command)
    }

    /// The time to live as the script reads it.
    fn ttl(&self, request: &SetRequest) -> Result<String> {
        let ttl = match request.metadata.get("ttlInSeconds") {
            None | Some("") => self.ttl,
            Some(text) => Some(text.parse().map_err(|_| {
                Error::invalid_request(format!(
                    "failed to parse ttl from metadata: invalid value {text:?} for key \"ttlInSeconds\": expected a number of seconds"
                ))
            })?),
        };
        Ok(match ttl {
            None => String::new(),
            Some(..=0) => "-1".to_owned(),
            Some(seconds) => seconds.to_string(),
        })
    }
}

/// The version that an etag stands for, as the scripts read it. Dapr's own component reads etags as numbers.
fn expected(etag: Option<&Etag>) -> Result<String> {
    let Some(etag) = etag.map(Etag::as_str).filter(|etag| !etag.is_empty()) else {
        return Ok(String::new());
    };
    match etag.parse::<i64>() {
        Ok(version) => Ok(version.to_string()),
        Err(_) => Err(Error::new(
            ErrorKind::EtagInvalid,
            format!("etag {etag:?}: expected the number of a version"),
        )),
    }
}
