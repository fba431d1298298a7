//! Through one runtime: its own Redis state store beside ours, by gets of its HTTP API.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use dapr_pluggable_testbed::{HttpRequest, Process, Redis, eventually, free_port};
use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::figures::{self, Figures, REDIS_CALLS, Sample};
use crate::{Arguments, turns};

/// The stores: the name of the resource, and its type.
const STORES: [(&str, &str); 2] = [
    ("pluggable", "state.redis-pluggable"),
    ("builtin", "state.redis"),
];
/// Connections, each with one call at a time.
const CONNECTIONS: usize = 16;
const KEYS: usize = 100;
/// How long a slice is.
const SLICE: Duration = Duration::from_secs(2);

/// What `DAPRD` names, if it does.
pub(crate) fn binary() -> Option<OsString> {
    env::var_os("DAPRD").filter(|binary| !binary.is_empty())
}

pub(crate) async fn compare(
    binary: &OsString,
    redis: &Redis,
    folder: &Path,
    arguments: &Arguments,
) -> Result<()> {
    let sockets = folder.join("sockets");
    fs::create_dir_all(&sockets)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_pluggable"));
    command
        .args(["serve", "redis", "--as", "redis-pluggable"])
        .arg("--sockets-folder")
        .arg(&sockets)
        .stderr(Stdio::piped());
    let mut component = Process::spawn(&mut command);
    component.says("serving").await;
    let (mut runtime, address) = start(binary, redis, folder, &sockets).await?;
    let runs = Runs {
        address,
        processes: [&runtime, &component, redis.process()],
    };
    for (store, _) in STORES {
        runs.write(store).await?;
    }
    let mut all = vec![Figures::default(); STORES.len()];
    for number in turns(STORES.len(), arguments.slices) {
        if let (Some((store, _)), Some(figures)) = (STORES.get(number), all.get_mut(number)) {
            figures.add(runs.gets(store).await?);
        }
    }
    println!(
        "\nget through one daprd, {CONNECTIONS} connections x 1, 256 bytes; the CPU is that of daprd and the component"
    );
    let names = STORES.iter().map(|(_, store_type)| *store_type);
    print!("{}", figures::table(REDIS_CALLS, names.zip(&all)));
    runtime.stop().await;
    component.stop().await;
    Ok(())
}

/// A runtime with both stores, ready, and where its HTTP API is.
async fn start(
    binary: &OsString,
    redis: &Redis,
    folder: &Path,
    sockets: &Path,
) -> Result<(Process, SocketAddr)> {
    let resources = folder.join("resources");
    fs::create_dir_all(&resources)?;
    for (store, store_type) in STORES {
        let resource = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": store},
            "spec": {"type": store_type, "version": "v1", "metadata": [
                {"name": "redisHost", "value": redis.host()},
                {"name": "keyPrefix", "value": "name"},
            ]},
        });
        write(&resources.join(format!("{store}.yaml")), &resource)?;
    }
    let configuration = folder.join("configuration.yaml");
    let names = folder.join("names.db").display().to_string();
    let lookup = json!({"component": "sqlite", "version": "v1", "configuration": {"connectionString": names}});
    let document = json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "configuration"},
        "spec": {"nameResolution": lookup},
    });
    write(&configuration, &document)?;
    let port = free_port();
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("DAPR_COMPONENTS_SOCKETS_FOLDER", sockets)
        .env("DAPR_HOST_IP", "127.0.0.1")
        .args(["--app-id", "compare", "--log-level", "warn"])
        .args(["--dapr-listen-addresses", "127.0.0.1"])
        .args(["--dapr-http-port", &port.to_string()])
        .arg("--config")
        .arg(configuration)
        .arg("--resources-path")
        .arg(resources)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for flag in [
        "--dapr-grpc-port",
        "--dapr-internal-grpc-port",
        "--metrics-port",
    ] {
        command.args([flag, &free_port().to_string()]);
    }
    let mut process = Process::spawn(&mut command);
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let mut has_ended = false;
    eventually("a runtime is ready", async || {
        has_ended = !process.is_running();
        let health = HttpRequest::new("GET", "/v1.0/healthz");
        let answer = health.try_send(address).await;
        has_ended || answer.is_ok_and(|answer| answer.status == 204)
    })
    .await;
    if has_ended {
        process.end().await;
        bail!("{} ended:\n{}", binary.display(), process.log());
    }
    Ok((process, address))
}

fn write(path: &Path, document: &Value) -> Result<()> {
    // JSON is YAML too.
    fs::write(path, document.to_string()).with_context(|| format!("write {}", path.display()))
}

/// Slices of load on a runtime.
struct Runs<'a> {
    address: SocketAddr,
    /// Those of the runtime, the component and Redis.
    processes: [&'a Process; 3],
}

impl Runs<'_> {
    async fn write(&self, store: &str) -> Result<()> {
        let value = "v".repeat(254);
        let entries: Vec<Value> = (0..KEYS)
            .map(|key| json!({"key": key.to_string(), "value": value}))
            .collect();
        let request = HttpRequest::new("POST", format!("/v1.0/state/{store}"))
            .header("content-type", "application/json")
            .body(Value::from(entries).to_string());
        let answer = request.send(self.address).await;
        ensure!(answer.status == 204, "write to {store}: {answer:?}");
        Ok(())
    }

    async fn gets(&self, store: &str) -> Result<Sample> {
        let before = self.cpu();
        let begun = Instant::now();
        let end = begun + SLICE;
        let lanes = (0..CONNECTIONS).map(|number| self.lane(store, number, end));
        let mut latencies = try_join_all(lanes).await?.concat();
        let took = begun.elapsed();
        let after = self.cpu();
        latencies.sort();
        let each = |before: Duration, after: Duration| {
            (after - before).as_secs_f64() * 1e6 / latencies.len() as f64
        };
        let share = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            let latency = latencies.get(index).copied().unwrap_or_default();
            latency.as_secs_f64() * 1e6
        };
        Ok(Sample::new(
            latencies.len() as f64 / took.as_secs_f64(),
            [share(0.5), share(0.99)],
            each(before.0, after.0),
            each(before.1, after.1),
        ))
    }

    /// The CPU time of the runtime with the component, and of Redis.
    fn cpu(&self) -> (Duration, Duration) {
        let [runtime, component, redis] = self.processes.map(Process::cpu_time);
        (runtime + component, redis)
    }

    /// Gets on a connection of its own, one after another: how long each took.
    async fn lane(&self, store: &str, number: usize, end: Instant) -> Result<Vec<Duration>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender.
        tokio::spawn(connection);
        let mut latencies = Vec::new();
        let mut begun = Instant::now();
        while begun < end {
            let key = (number + latencies.len() * CONNECTIONS) % KEYS;
            let request = Request::get(format!("/v1.0/state/{store}/{key}"))
                .header("host", "localhost")
                .body(Empty::<Bytes>::new())?;
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            ensure!(status == 200 && body.len() == 256, "{status}: {body:?}");
            let ended = Instant::now();
            latencies.push(ended - begun);
            begun = ended;
        }
        Ok(latencies)
    }
}
