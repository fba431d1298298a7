//! On one Redis: `serve redis` beside grpc-go with go-redis, which sends a command for each key and each message; and, where
//! `DAPRD` names a runtime that has `state.redis` built in, through that runtime beside what it has.

use anyhow::{Result, anyhow};
use dapr_pluggable_testbed::{Peer, Redis};
use tempfile::TempDir;

use crate::figures::{self, Figures, REDIS_CALLS, REDIS_MESSAGES};
use crate::measure::bench;
use crate::servers::{Running, Server};
use crate::{Arguments, Load, daprd, turns};

const GET_ALONE: Load = ("get, 1 connection x 1", &["--in-flight=1"]);
const BULK_GET: Load = (
    "bulk get of 100, 1 connection x 1",
    &["--operation=bulk-get", "--bulk=100", "--in-flight=1"],
);
/// How many keys a bulk get of [`BULK_GET`] has.
const BULK: f64 = 100.0;

const STATE: [Load; 2] = [
    ("get, 1 connection x 64", &["--in-flight=64"]),
    (
        "set, 1 connection x 64",
        &["--operation=set", "--in-flight=64"],
    ),
];

const PUBLISH: [Load; 2] = [
    (
        "publish, 1 connection x 64",
        &["--operation=publish", "--in-flight=64"],
    ),
    (
        "publish, 1 connection x 1",
        &["--operation=publish", "--in-flight=1"],
    ),
];

const DELIVER: Load = (
    "delivery with immediate acks, 20000 messages that wait",
    &["--operation=deliver", "--messages=20000"],
);

pub(crate) async fn compare(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start("compare redis").await;
    let redis = redis.ok_or_else(|| anyhow!("redis-server is missing"))?;
    let peer = Peer::try_go().await.map_err(|error| anyhow!(error))?;
    let ours = Server::Pluggable("redis");
    let rival = Server::GoRedis(peer);
    let mut bench = Bench {
        arguments,
        redis,
        servers: Vec::new(),
    };
    bench.start(&folder, &ours, &[]).await?;
    bench.start(&folder, &rival, &[]).await?;
    for load in &STATE {
        bench.side_by_side(load, 2).await?;
    }
    let alone = bench.side_by_side(&GET_ALONE, 2).await?;
    let bulk = bench.side_by_side(&BULK_GET, 2).await?;
    for ((server, alone), bulk) in bench.servers.iter().zip(&alone).zip(&bulk) {
        let times = BULK * bulk.rate() / alone.rate();
        println!(
            "{}: a bulk get of 100 is {times:.1} times as fast as 100 gets one after another",
            server.name
        );
    }
    for load in &PUBLISH {
        bench.side_by_side(load, 2).await?;
    }
    bench.start(&folder, &rival, &["concurrency=1"]).await?;
    bench.side_by_side(&DELIVER, 3).await?;
    for server in bench.servers {
        server.stop().await?;
    }
    match daprd::binary() {
        Some(binary) => daprd::compare(&binary, &bench.redis, folder.path(), arguments).await,
        None => Ok(()),
    }
}

struct Bench<'a> {
    arguments: &'a Arguments,
    redis: Redis,
    servers: Vec<Running>,
}

impl Bench<'_> {
    async fn start(&mut self, folder: &TempDir, server: &Server, metadata: &[&str]) -> Result<()> {
        let number = self.servers.len();
        let place = folder.path().join(format!("{}-{number}", server.folder()));
        let mut running = Running::start(server, &place).await?;
        running.name = [&[running.name.as_str()], metadata].concat().join(", ");
        let host = format!("redisHost={}", self.redis.host());
        running.metadata = [&[host.as_str()], metadata]
            .concat()
            .iter()
            .map(|entry| format!("--metadata={entry}"))
            .collect();
        running
            .metadata
            .push(format!("--also-pid={}", self.redis.process().id()));
        self.servers.push(running);
        Ok(())
    }

    /// The first so many servers, each a slice in each round; Redis is empty before each.
    async fn side_by_side(&self, (name, load): &Load, count: usize) -> Result<Vec<Figures>> {
        let mut all = vec![Figures::default(); count];
        for number in turns(count, self.arguments.slices) {
            if let (Some(server), Some(figures)) = (self.servers.get(number), all.get_mut(number)) {
                self.redis.command::<()>(&["FLUSHALL"]).await;
                figures.add(bench(server, load, &self.arguments.slice).await?);
            }
        }
        println!("\n{name}");
        let columns = match load.contains(&"--operation=deliver") {
            true => REDIS_MESSAGES,
            false => REDIS_CALLS,
        };
        let names = self.servers.iter().map(|server| server.name.as_str());
        print!("{}", figures::table(columns, names.zip(&all)));
        Ok(all)
    }
}
