//! The component of the recordings: it keeps values in memory, fails where a key says so, and notes every call.
//!
//! - An etag counts the writes of a key from 1. Another etag than a number is invalid; a write with an etag needs the value
//!   that has it, a first-write without one needs that there is none.
//! - `ttlInSeconds` limits the life of a value. Request metadata `echo-<name>` comes back as response metadata `<name>`.
//! - A key, or the metadata `fail`, that contains one of the words in `status.rs` fails with that status.
//! - Settings: `features` replaces what it says of itself, `maxSize` is the largest transaction or such a word.

mod query;
mod render;
mod status;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{
    BulkEntry, Concurrency, DeleteRequest, Entry, Etag, GetRequest, Operation, Parallelism, Query,
    QueryPage, QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{Blocks, Component, Error, Metadata, Result, async_trait};
use serde_json::{Value, json};

/// The calls since they were last taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Value>>>);

impl Calls {
    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn note(&self, instance: &str, rpc: &str, request: Value, failed: Option<&Error>) {
        let mut call = json!({ "rpc": rpc, "instance": instance, "req": request });
        if let Some(error) = failed {
            call["err"] = json!(status::code_name(error));
        }
        self.0.lock().unwrap().push(call);
    }
}

/// The state store, whose calls are noted.
pub(crate) fn blocks(calls: &Calls) -> Blocks {
    let calls = calls.clone();
    Blocks::new().state_store_with(
        Rules::Strict,
        move |settings: HashMap<String, String>, instance| {
            let store = Golden {
                instance: instance.as_str().to_owned(),
                settings,
                calls: calls.clone(),
                rows: Mutex::default(),
            };
            async move { Ok(store) }
        },
    )
}

struct Golden {
    instance: String,
    settings: HashMap<String, String>,
    calls: Calls,
    rows: Mutex<Rows>,
}

type Rows = BTreeMap<String, Row>;

#[derive(Clone, Debug)]
struct Row {
    value: dapr_pluggable::Bytes,
    etag: u64,
    expires: Option<SystemTime>,
}

impl Golden {
    fn noted<T>(&self, rpc: &str, request: Value, outcome: Result<T>) -> Result<T> {
        self.calls
            .note(&self.instance, rpc, request, outcome.as_ref().err());
        outcome
    }

    /// Runs writes on a copy, which counts when all went well.
    fn atomically(&self, write: impl FnOnce(&mut Rows) -> Result<()>) -> Result<()> {
        let mut rows = self.rows.lock().unwrap();
        let mut copy = rows.clone();
        write(&mut copy)?;
        *rows = copy;
        Ok(())
    }

    fn find(&self, request: &GetRequest) -> Option<Entry> {
        let rows = self.rows.lock().unwrap();
        live(&rows, &request.key).map(|row| {
            Entry::new(row.value.clone())
                .with_etag(row.etag)
                .with_metadata(echoed(&request.metadata))
        })
    }
}

fn live<'a>(rows: &'a Rows, key: &str) -> Option<&'a Row> {
    rows.get(key)
        .filter(|row| row.expires.is_none_or(|at| at > SystemTime::now()))
}

fn echoed(metadata: &Metadata) -> Metadata {
    let echoed = metadata
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("echo-")?, value)));
    echoed.collect()
}

fn check(rows: &Rows, key: &str, etag: Option<&Etag>, first_write: bool) -> Result<()> {
    let current = live(rows, key);
    match etag.map(Etag::as_str) {
        Some(etag) if etag.is_empty() || !etag.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(status::error("err-etag-invalid"))
        }
        Some(etag) if current.is_none_or(|row| row.etag.to_string() != etag) => {
            Err(status::error("err-etag-mismatch"))
        }
        None if first_write && current.is_some() => Err(status::error("err-etag-mismatch")),
        _ => Ok(()),
    }
}

fn set(rows: &mut Rows, request: &SetRequest) -> Result<()> {
    status::trigger(&request.key)?;
    let first_write = request.concurrency == Concurrency::FirstWrite;
    check(rows, &request.key, request.etag.as_ref(), first_write)?;
    let ttl = request.metadata.get("ttlInSeconds").unwrap_or_default();
    let ttl: i64 = match ttl {
        "" => 0,
        text => text.parse().map_err(|_| status::bad_ttl(text))?,
    };
    let lives = u64::try_from(ttl).ok().filter(|seconds| *seconds > 0);
    let row = Row {
        value: request.value.clone(),
        etag: live(rows, &request.key).map_or(1, |row| row.etag + 1),
        expires: lives.map(|seconds| SystemTime::now() + Duration::from_secs(seconds)),
    };
    rows.insert(request.key.clone(), row);
    Ok(())
}

fn delete(rows: &mut Rows, request: &DeleteRequest) -> Result<()> {
    status::trigger(&request.key)?;
    check(rows, &request.key, request.etag.as_ref(), false)?;
    rows.remove(&request.key);
    Ok(())
}

impl Component for Golden {}

#[async_trait]
impl StateStore for Golden {
    fn claims(&self) -> StateClaims {
        match self.settings.get("features") {
            None => StateClaims::none().with_etag().with_ttl(),
            Some(features) if features == "ETAG" => StateClaims::none().with_etag(),
            Some(other) => panic!("no such features: {other}"),
        }
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        let outcome = status::trigger(&request.key).map(|()| self.find(&request));
        self.noted("StateStore/Get", render::get(&request), outcome)
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let outcome = self.atomically(|rows| set(rows, &request));
        self.noted("StateStore/Set", render::set(&request), outcome)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let outcome = self.atomically(|rows| delete(rows, &request));
        self.noted("StateStore/Delete", render::delete(&request), outcome)
    }

    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        let entry = |request: &GetRequest| {
            if request.key.contains("item-error") {
                let outcome = Err(Error::internal("item failed"));
                return Ok(BulkEntry::new(request.key.clone(), outcome));
            }
            status::trigger(&request.key)?;
            status::trigger(request.metadata.get("fail").unwrap_or_default())?;
            let outcome = Ok(self.find(request));
            Ok(BulkEntry::new(request.key.clone(), outcome))
        };
        let outcome = requests.iter().map(entry).collect();
        let request = render::bulk_get(&requests, parallelism);
        self.noted("StateStore/BulkGet", request, outcome)
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, _: Parallelism) -> Result<()> {
        let outcome =
            self.atomically(|rows| requests.iter().try_for_each(|request| set(rows, request)));
        self.noted("StateStore/BulkSet", render::bulk_set(&requests), outcome)
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        (!self.settings.contains_key("features")).then_some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for Golden {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        let limit = self.settings.get("maxSize").map_or("-1", String::as_str);
        let outcome = status::trigger(limit).map(|()| limit.parse().ok().and_then(NonZeroU32::new));
        let rpc = "TransactionalStoreMultiMaxSize/MultiMaxSize";
        self.noted(rpc, json!({}), outcome)
    }

    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        let outcome = status::trigger(metadata.get("fail").unwrap_or_default()).and_then(|()| {
            self.atomically(|rows| {
                operations.iter().try_for_each(|operation| match operation {
                    Operation::Set(request) => set(rows, request),
                    Operation::Delete(request) => delete(rows, request),
                    other => panic!("no such operation: {other:?}"),
                })
            })
        });
        let request = render::transact(&operations, &metadata);
        self.noted("TransactionalStateStore/Transact", request, outcome)
    }
}

#[async_trait]
impl QueryableStateStore for Golden {
    async fn query(&self, request: Query) -> Result<QueryPage> {
        let outcome = status::trigger(request.metadata.get("fail").unwrap_or_default()).map(|()| {
            let rows = self.rows.lock().unwrap();
            let mut page = query::run(&rows, &request);
            page.metadata = echoed(&request.metadata);
            page
        });
        let request = render::query(&request);
        self.noted("QueriableStateStore/Query", request, outcome)
    }
}
