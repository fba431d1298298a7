//! One figure at a time.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use dapr_pluggable::client::Client;
use tokio::process::Command;

use crate::figures::Sample;
use crate::servers::{Running, Server};

/// One slice.
pub(crate) async fn bench(server: &Running, load: &[&str], slice: &str) -> Result<Sample> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pluggable"));
    command
        .args(["bench", "--output=json", "--duration", slice, "--socket"])
        .arg(&server.socket)
        .args(&server.metadata)
        .args(load)
        .stdin(Stdio::null());
    let output = command.output().await.context("run pluggable bench")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("pluggable bench on {}: {said}", server.name);
    }
    serde_json::from_slice(&output.stdout).context("read what pluggable bench printed")
}

/// How long a start takes, to the first answer of reflection.
pub(crate) async fn first_answer(folder: &Path) -> Result<Duration> {
    let folder = folder.join("start");
    let socket = folder.join("memory.sock");
    let begun = Instant::now();
    let server = Server::Pluggable("memory");
    let running = Running::start(&server, &folder).await?;
    let client = Client::connect(&socket).await?;
    client.services().await?;
    let took = begun.elapsed();
    running.stop().await?;
    Ok(took)
}

/// How much memory a server has resident, in KB.
pub(crate) fn resident(server: &Running) -> u64 {
    server.process.memory("VmRSS") >> 10
}
