//! The component's own program as a process, called over its socket.

use std::ffi::OsStr;
use std::process::Stdio;
use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{InstanceId, Metadata, Opener as _, Result};
use dapr_pluggable_testbed::{Process, Signal, socket_folder};
use tempfile::TempDir;
use tokio::process::Command;

/// A process that serves the component. It is killed when this is dropped.
pub(crate) struct Program {
    process: Process,
    sockets: TempDir,
}

impl Program {
    /// Starts one, and waits until it serves.
    pub(crate) async fn start() -> Self {
        Self::start_with::<&str>(&[]).await
    }

    /// Starts one with these environment variables.
    pub(crate) async fn start_with<V: AsRef<OsStr> + Sync>(variables: &[(&str, V)]) -> Self {
        let sockets = socket_folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dapr-component-redis"));
        command
            .arg("--sockets-folder")
            .arg(sockets.path())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let process = Process::spawn(&mut command);
        process.says("serving").await;
        Self { process, sockets }
    }

    /// A broker in it.
    pub(crate) async fn pubsub(&self, metadata: &Metadata) -> Arc<dyn PubSub> {
        let client = Client::connect(self.sockets.path().join("redis.sock")).await;
        client
            .unwrap()
            .open_pubsub(&InstanceId::new("pubsub"), metadata)
            .await
            .unwrap()
    }

    /// A store in it.
    pub(crate) async fn state_store(&self, metadata: &Metadata) -> Result<Arc<dyn StateStore>> {
        let client = Client::connect(self.sockets.path().join("redis.sock")).await;
        client
            .unwrap()
            .open_state_store(&InstanceId::new("state"), metadata)
            .await
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it as an administrator does.
    pub(crate) async fn stop(&mut self) {
        assert!(self.process.stop().await.success());
    }

    /// Ends it as a power switch would: no signal handler, no clean-up.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::KILL);
        assert!(!self.process.end().await.success());
    }
}
