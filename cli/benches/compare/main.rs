//! How fast `pluggable serve` is beside a plain tonic server and a bare grpc-go server with the same store, measured by
//! `pluggable bench` in short slices that take turns, so that what else the machine does meets all of them alike.
//!
//! ```sh
//! cargo bench -p dapr-pluggable-cli --profile dist --bench compare
//! cargo bench -p dapr-pluggable-cli --profile dist --bench compare -- --slices 20 --slice 2s
//! cargo bench -p dapr-pluggable-cli --profile dist --bench compare -- redis
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to people"
)]

mod daprd;
mod figures;
mod measure;
mod redis;
mod servers;
mod tonic_server;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use dapr_pluggable_testbed::Peer;
use tempfile::TempDir;

use self::figures::Figures;
use self::measure::{bench, first_answer, resident};
use self::servers::{Running, Server};

/// Compare servers side by side.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many slices each server has of each load.
    #[arg(long, default_value = "10", global = true)]
    slices: usize,
    /// How long a slice is.
    #[arg(long, default_value = "2s", global = true)]
    slice: String,
    /// cargo gives this to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Be the tonic server.
    #[command(hide = true)]
    Tonic { socket: PathBuf },
    /// Compare on Redis: `serve redis` beside grpc-go with go-redis.
    Redis,
}

/// A load, as `pluggable bench` takes it.
type Load = (&'static str, &'static [&'static str]);

/// What the servers in memory are compared by.
const LOADS: [Load; 3] = [
    ("get, 1 connection x 64", &["--in-flight=64"]),
    ("get, 1 connection x 1", &["--in-flight=1"]),
    (
        "get, 4 connections x 64",
        &["--in-flight=64", "--connections=4"],
    ),
];

/// What SQLite and memory are compared by.
const SQLITE: [Load; 3] = [
    (
        "update, 1 connection x 1, 1 KB",
        &["--operation=update", "--in-flight=1", "--value-size=1024"],
    ),
    (
        "update, 1 connection x 64, 1 KB",
        &["--operation=update", "--in-flight=64", "--value-size=1024"],
    ),
    (
        "get, 1 connection x 64, 1 KB",
        &["--in-flight=64", "--value-size=1024"],
    ),
];

/// Values as large as a runtime's hosts allow at most, four at a time.
const LARGE: [Load; 2] = [
    (
        "set, 8 MB x 4",
        &[
            "--operation=set",
            "--in-flight=4",
            "--keys=4",
            "--value-size=8388608",
        ],
    ),
    (
        "get, 8 MB x 4",
        &["--in-flight=4", "--keys=4", "--value-size=8388608"],
    ),
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // The default runtime, as `#[tokio::main]` makes it.
    let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
    match &arguments.verb {
        Some(Verb::Tonic { socket }) => runtime.block_on(tonic_server::serve(socket)),
        Some(Verb::Redis) => runtime.block_on(redis::compare(&arguments)),
        None => runtime.block_on(compare(&arguments)),
    }
}

async fn compare(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let mut rivals = vec![Server::Pluggable("memory"), Server::Tonic];
    match Peer::try_go().await {
        Ok(peer) => rivals.push(Server::Go(peer)),
        Err(error) => eprintln!("without grpc-go: {error}"),
    }
    start_up(&folder, arguments.slices).await?;
    side_by_side(&folder, &rivals, &LOADS, arguments).await?;
    let stores = [Server::Pluggable("sqlite"), Server::Pluggable("memory")];
    side_by_side(&folder, &stores, &SQLITE, arguments).await?;
    side_by_side(&folder, &rivals, &LARGE, arguments).await
}

/// From the start of the process to the first answer of reflection.
async fn start_up(folder: &TempDir, times: usize) -> Result<()> {
    let mut millis = Vec::new();
    for _ in 0..times {
        millis.push(first_answer(folder.path()).await?.as_secs_f64() * 1e3);
    }
    let spread = figures::spread(millis);
    println!("start of `serve memory` to the first answer of reflection, ms: {spread}\n");
    Ok(())
}

/// Every server has a slice of a load, then the next round begins; the order turns.
async fn side_by_side(
    folder: &TempDir,
    servers: &[Server],
    loads: &[Load],
    arguments: &Arguments,
) -> Result<()> {
    let mut running = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let place = folder.path().join(format!("{}-{number}", server.folder()));
        running.push(Running::start(server, &place).await?);
    }
    for server in &running {
        println!(
            "{}: {} KB resident at the start",
            server.name,
            resident(server)
        );
    }
    for (name, load) in loads {
        let mut all = vec![Figures::default(); running.len()];
        for number in turns(running.len(), arguments.slices) {
            if let (Some(server), Some(figures)) = (running.get(number), all.get_mut(number)) {
                figures.add(bench(server, load, &arguments.slice).await?);
            }
        }
        println!("\n{name}");
        let names = running.iter().map(|server| server.name.as_str());
        print!("{}", figures::table(figures::CALLS, names.zip(&all)));
    }
    println!();
    for server in running {
        let resident = resident(&server);
        println!("{}: {resident} KB resident at the end", server.name);
        server.stop().await?;
    }
    println!();
    Ok(())
}

/// Whose turn it is: each of so many in each round, in an order that turns.
fn turns(count: usize, rounds: usize) -> impl Iterator<Item = usize> {
    (0..rounds).flat_map(move |round| (0..count).map(move |turn| (round + turn) % count))
}
