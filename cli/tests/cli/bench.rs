//! The verb `bench`, on components that this program serves and on one of the tests' own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dapr_pluggable::delivery::Deliveries;
use dapr_pluggable::pubsub::{PubSub, Publication, Subscription};
use dapr_pluggable::state::{DeleteRequest, Entry, Etag, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{
    Blocks, Bytes, Component, Error, ErrorKind, Result, Server, Serving, Stop, async_trait,
};
use dapr_pluggable_testbed::{Process, Signal, eventually, socket_folder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::program::{Ended, pluggable, run, serve, text};

/// A store that does not answer every call as it should.
#[derive(Clone)]
struct Odd {
    values: Arc<Mutex<HashMap<String, Bytes>>>,
    gets: Arc<AtomicU64>,
    /// Each get of this number fails; none if it is 0.
    fails_every: u64,
    failure: ErrorKind,
    has_etags: bool,
}

impl Default for Odd {
    fn default() -> Self {
        Self {
            values: Arc::default(),
            gets: Arc::default(),
            fails_every: 0,
            failure: ErrorKind::Throttled,
            has_etags: false,
        }
    }
}

impl Component for Odd {}

#[async_trait]
impl StateStore for Odd {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        let number = self.gets.fetch_add(1, Ordering::Relaxed) + 1;
        if self.fails_every > 0 && number.is_multiple_of(self.fails_every) {
            return Err(Error::new(self.failure.clone(), "too many gets"));
        }
        let values = self.values.lock().await;
        let entry = values.get(&request.key).cloned().map(Entry::new);
        Ok(match self.has_etags {
            true => entry.map(|entry| entry.with_etag(Etag::from(1))),
            false => entry,
        })
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.values.lock().await.insert(request.key, request.value);
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.values.lock().await.remove(&request.key);
        Ok(())
    }
}

/// A broker that takes messages and delivers none.
#[derive(Clone, Default)]
struct Deaf {
    published: Arc<AtomicU64>,
}

impl Component for Deaf {}

#[async_trait]
impl PubSub for Deaf {
    async fn publish(&self, _: Publication) -> Result<()> {
        self.published.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn subscribe(&self, _: Subscription, deliveries: Deliveries) -> Result<()> {
        deliveries.closed().await;
        Ok(())
    }
}

/// A component behind a socket of this process.
struct Served {
    _folder: TempDir,
    socket: PathBuf,
    serving: Serving,
}

impl Served {
    async fn new(store: &Odd) -> Self {
        let store = store.clone();
        Self::start(Blocks::new().state_store_from(move || store.clone())).await
    }

    async fn start(blocks: Blocks) -> Self {
        let folder = socket_folder();
        let server = Server::new("odd")
            .blocks(blocks)
            .sockets_folder(folder.path());
        let serving = Serving::start([server]).await.unwrap();
        let socket = serving.sockets().next().unwrap().to_owned();
        Self {
            _folder: folder,
            socket,
            serving,
        }
    }

    async fn bench(self, arguments: &[&str]) -> Ended {
        let ended = bench(text(&self.socket), arguments).await;
        self.serving.stop(Stop::Drain).await;
        ended
    }
}

async fn bench(socket: &str, arguments: &[&str]) -> Ended {
    let start = ["bench", "--duration=500ms", "--socket", socket];
    run(start.iter().chain(arguments)).await
}

#[tokio::test]
async fn a_component_is_measured() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    for operation in ["get", "set", "update", "bulk-get", "publish"] {
        let operation = format!("--operation={operation}");
        let load = [operation.as_str(), "--connections=3", "--in-flight=5"];
        let rest = ["--keys=20", "--bulk=7", "--output=json"];
        let ended = bench(text(&socket), &[&load[..], &rest].concat()).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
        let promised = [
            "errors",
            "latency_us",
            "operations_per_second",
            "server_cpu_us_per_operation",
        ];
        assert_eq!(keys, promised);
        assert_eq!(report["errors"], 0);
        assert!(report["operations_per_second"].as_f64().unwrap() > 0.0);
        assert!(report["server_cpu_us_per_operation"].as_f64().unwrap() > 0.0);
        let latencies = ["p50", "p90", "p99", "p999", "max"]
            .map(|share| report["latency_us"][share].as_f64().unwrap());
        assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{latencies:?}");
    }
}

#[tokio::test]
async fn messages_that_wait_are_received() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    let deliver = ["bench", "--operation=deliver", "--socket", text(&socket)];
    let load = ["--messages=500", "--duration=1m"];
    let ended = run(deliver.iter().chain(&load)).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let headline = "deliver: 1 connection x 64 in flight, 500 messages of 256 bytes, 60s\n";
    assert!(ended.stdout.starts_with(headline), "{ended:?}");
    assert!(!ended.stdout.contains("latency"), "{ended:?}");

    // The duration ends first; what is left is received all the same.
    let load = ["--duration=1ms", "--in-flight=1", "--output=json"];
    let ended = run(deliver.iter().chain(&load)).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(report["operations_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(report["latency_us"], Value::Null);
    assert_eq!(report["errors"], 0);
}

#[tokio::test]
async fn who_waits_for_messages_can_be_called_off() {
    let broker = Deaf::default();
    let served = Served::start({
        let broker = broker.clone();
        Blocks::new().pubsub_from(move || broker.clone())
    })
    .await;
    let arguments = ["bench", "--operation=deliver", "--socket"];
    let socket = text(&served.socket);
    let mut bench = Process::spawn(&mut pluggable(arguments.into_iter().chain([socket])));
    let published = async || broker.published.load(Ordering::Relaxed) > 0;
    eventually("a message", published).await;
    bench.signal(Signal::INT);
    assert_eq!(bench.code().await, 130, "{}", bench.log());
    assert_eq!(bench.log(), "");
    served.serving.stop(Stop::Drain).await;
}

#[tokio::test]
async fn the_process_that_is_named_is_measured() {
    let served = Served::new(&Odd::default()).await;
    let idle = Process::spawn(Command::new("tail").args(["-f", "/dev/null"]));
    let pid = format!("--server-pid={}", idle.id());
    let ended = served.bench(&[&pid, "--output=json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["server_cpu_us_per_operation"], 0.0);
    assert_eq!(report.get("also_cpu_us_per_operation"), None);

    let served = Served::new(&Odd::default()).await;
    let also = format!("--also-pid={}", idle.id());
    let ended = served.bench(&[&also]).await;
    let line = "its database's CPU        0.00 us\n";
    assert!(ended.stdout.contains(line), "{ended:?}");
}

#[tokio::test]
async fn people_get_a_table() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["sqlite"]).await;
    let socket = folder.path().join("sqlite.sock");
    let database = folder.path().join("data.db");
    let database = format!("connectionString={}", text(&database));
    let ended = bench(
        text(&socket),
        &["--metadata", &database, "--operation=update", "--keys=64"],
    )
    .await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut lines = ended.stdout.lines();
    assert_eq!(
        lines.next(),
        Some("update: 1 connection x 64 in flight, 64 keys, values of 256 bytes, 500ms")
    );
    let names = [
        "operations per second",
        "latency p50",
        "latency p90",
        "latency p99",
        "latency p99.9",
        "latency max",
        "server CPU per operation",
        "errors",
    ];
    for name in names {
        let line = lines.next().unwrap();
        assert!(line.starts_with(&format!("{name}  ")), "{line}");
    }
    assert_eq!(lines.next(), None);
}

#[tokio::test]
async fn the_keys_are_removed_afterwards() {
    let store = Odd::default();
    let served = Served::new(&store).await;
    let ended = served.bench(&["--operation=set"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(store.values.lock().await.is_empty());
}

#[tokio::test]
async fn the_keys_are_removed_when_it_is_called_off() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let store = Odd::default();
        let served = Served::new(&store).await;
        let arguments = ["bench", "--duration=1h", "--socket", text(&served.socket)];
        let mut bench = Process::spawn(&mut pluggable(arguments));
        eventually("a get", async || store.gets.load(Ordering::Relaxed) > 0).await;
        bench.signal(signal);
        assert_eq!(bench.code().await, code, "{}", bench.log());
        assert_eq!(bench.log(), "");
        assert!(store.values.lock().await.is_empty());
        served.serving.stop(Stop::Drain).await;
    }
}

#[tokio::test]
async fn what_fails_is_counted_and_told() {
    let store = Odd {
        fails_every: 3,
        ..Odd::default()
    };
    let served = Served::new(&store).await;
    let ended = served.bench(&["--output=json", "--in-flight=2"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let gets = store.gets.load(Ordering::Relaxed);
    assert_eq!(report["errors"].as_u64().unwrap(), gets / 3);
    assert!(
        ended
            .stderr
            .starts_with("error: RESOURCE_EXHAUSTED: get: too many gets ("),
        "{ended:?}"
    );
    assert!(store.values.lock().await.is_empty());
}

#[tokio::test]
async fn an_instance_that_is_lost_is_told_as_the_component_tells_it() {
    let store = Odd {
        fails_every: 1,
        failure: ErrorKind::NotOpened,
        ..Odd::default()
    };
    let served = Served::new(&store).await;
    let ended = served.bench(&["--in-flight=1"]).await;
    let told = "error: FAILED_PRECONDITION: get: too many gets (";
    assert!(ended.stderr.starts_with(told), "{ended:?}");
}

#[tokio::test]
async fn updates_need_etags() {
    for has_etags in [false, true] {
        let store = Odd {
            has_etags,
            ..Odd::default()
        };
        let served = Served::new(&store).await;
        let ended = served.bench(&["--operation=update"]).await;
        assert_eq!(ended.code, i32::from(!has_etags), "{ended:?}");
        assert_eq!(
            ended.stderr.contains("came without an etag"),
            !has_etags,
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_refused() {
    for (arguments, why) in [
        (&["--operation=update", "--keys=63"][..], "each of the 64"),
        (&["--operation=bulk-get", "--keys=99"], "a bulk get has 100"),
        (&["--operation=deliver", "--connections=2"], "must be 1"),
        (&["--duration=0s"], "--duration"),
        (&["--duration=soon"], "a duration"),
        (
            &["--operation=fly"],
            "get, set, update, bulk-get, publish, deliver",
        ),
        (&["--connections=0"], "1..="),
        (&["--value-size=0"], "1..="),
    ] {
        let mut all = vec!["bench", "--socket=none.sock"];
        all.extend(arguments);
        let ended = run(&all).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(why), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn who_is_not_there_is_named() {
    let folder = socket_folder();
    let socket = folder.path().join("none.sock");
    let ended = bench(text(&socket), &[]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    assert!(ended.stderr.contains(text(&socket)), "{ended:?}");

    // One above the largest number that Linux gives to a process.
    let ended = bench(text(&socket), &["--server-pid=4194305"]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("measure process 4194305"),
        "{ended:?}"
    );
}
