//! Many writes at once for as long as a store answers, and what it has acknowledged of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use dapr_pluggable::async_trait;
use dapr_pluggable::state::{GetRequest, Parallelism, SetRequest, StateStore};
use dapr_pluggable_testbed::{HttpRequest, eventually};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Writes that are on their way at any moment.
const WRITERS: usize = 32;
/// Keys of one writer, which it writes in turn.
const KEYS: u32 = 16;

/// A state store that keeps numbers.
#[async_trait]
pub(crate) trait Store: Send + Sync + 'static {
    /// Writes a number; an error says why it is not acknowledged.
    async fn write(&self, key: &str, number: u32) -> Result<(), String>;

    /// The numbers of those keys that are there.
    async fn read(&self, keys: &[String]) -> BTreeMap<String, u32>;
}

#[async_trait]
impl Store for Arc<dyn StateStore> {
    async fn write(&self, key: &str, number: u32) -> Result<(), String> {
        let request = SetRequest::new(key, number.to_string());
        self.set(request).await.map_err(|error| error.to_string())
    }

    async fn read(&self, keys: &[String]) -> BTreeMap<String, u32> {
        let requests = keys.iter().map(GetRequest::new).collect();
        let entries = self.bulk_get(requests, Parallelism::default()).await;
        let numbers = entries.unwrap().into_iter().filter_map(|entry| {
            let value = entry.outcome.unwrap()?.value;
            let number = std::str::from_utf8(&value).unwrap().parse().unwrap();
            Some((entry.key, number))
        });
        numbers.collect()
    }
}

/// The store `statestore` of a host, by its HTTP API.
pub(crate) struct OverHttp(pub(crate) SocketAddr);

#[async_trait]
impl Store for OverHttp {
    async fn write(&self, key: &str, number: u32) -> Result<(), String> {
        let body = json!([{ "key": key, "value": number }]).to_string();
        let request = HttpRequest::new("POST", "/v1.0/state/statestore").body(body);
        match request.try_send(self.0).await {
            Ok(answer) if answer.status == 204 => Ok(()),
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.text())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn read(&self, keys: &[String]) -> BTreeMap<String, u32> {
        let body = json!({ "keys": keys }).to_string();
        let request = HttpRequest::new("POST", "/v1.0/state/statestore/bulk").body(body);
        let answer = request.send(self.0).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let items: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
        let numbers = items.into_iter().filter_map(|item| {
            assert!(item["error"].is_null(), "{item}");
            let number = item.get("data")?.as_u64().unwrap();
            let key = item["key"].as_str().unwrap().to_owned();
            Some((key, u32::try_from(number).unwrap()))
        });
        numbers.collect()
    }
}

/// What was written and what of it was acknowledged, through all lives of the store.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    keys: BTreeMap<String, Known>,
    next: u32,
    acknowledged: usize,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    acknowledged: Option<u32>,
    /// On its way, or it failed on its way: it may be there.
    open: Option<u32>,
}

/// Writers at work.
pub(crate) struct Load {
    writes: Writes,
    writers: JoinSet<String>,
}

impl Writes {
    /// Begins to write, until the store fails.
    pub(crate) fn begin(&self, store: impl Store) -> Load {
        let store = Arc::new(store);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, writes) = (Arc::clone(&store), self.clone());
            writers.spawn(async move {
                let mut turn = 0;
                loop {
                    turn = (turn + 1) % KEYS;
                    let key = format!("w{writer}-{turn}");
                    let number = writes.next(&key);
                    if let Err(why) = store.write(&key, number).await {
                        return why;
                    }
                    writes.acknowledge(&key, number);
                }
            });
        }
        let writes = self.clone();
        Load { writes, writers }
    }

    /// Checks that each key has the number that was acknowledged last, or the one that was on its way.
    pub(crate) async fn check(&self, store: &impl Store) {
        let keys: Vec<String> = self.ledger().keys.keys().cloned().collect();
        let stored = store.read(&keys).await;
        let mut ledger = self.ledger();
        for (key, known) in &mut ledger.keys {
            let stored = stored.get(key).copied();
            let is_right = stored == known.acknowledged || stored.is_some() && stored == known.open;
            assert!(is_right, "{key} is {stored:?}, and {known:?}");
            if stored.is_some() && stored == known.open {
                known.acknowledged = known.open.take();
            }
        }
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger().acknowledged
    }

    fn next(&self, key: &str) -> u32 {
        let mut ledger = self.ledger();
        ledger.next += 1;
        let number = ledger.next;
        ledger.keys.entry(key.to_owned()).or_default().open = Some(number);
        number
    }

    fn acknowledge(&self, key: &str, number: u32) {
        let mut ledger = self.ledger();
        ledger.acknowledged += 1;
        *ledger.keys.get_mut(key).unwrap() = Known {
            acknowledged: Some(number),
            open: None,
        };
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }
}

impl Load {
    /// Waits until some more writes are acknowledged than there are now, all writers being at work.
    pub(crate) async fn goes_on(&mut self, more: usize) {
        let enough = self.writes.acknowledged() + more;
        eventually("writes", async || self.writes.acknowledged() >= enough).await;
        let ended = self.writers.try_join_next();
        assert!(ended.is_none(), "a writer has ended: {ended:?}");
    }

    /// Stops the writers where they are.
    pub(crate) async fn stop(mut self) {
        self.writers.shutdown().await;
    }

    /// Waits until every writer has failed, and gives why they did.
    pub(crate) async fn fails(self) -> Vec<String> {
        self.writers.join_all().await
    }
}
