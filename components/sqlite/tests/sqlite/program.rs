//! The component's own program as a process on a database, called over its socket.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, Signal, socket_folder};
use tempfile::TempDir;
use tokio::process::Command;

use crate::folder::Folder;

/// A process that serves the component. It is killed when this is dropped.
pub(crate) struct Program {
    process: Process,
    sockets: TempDir,
    connection: String,
}

impl Program {
    /// Starts one on the database of a folder, and waits until it serves.
    pub(crate) async fn start(folder: &Folder) -> Self {
        let sockets = socket_folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dapr-component-sqlite"));
        command
            .arg("--sockets-folder")
            .arg(sockets.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let process = Process::spawn(&mut command);
        process.says("serving").await;
        Self {
            process,
            sockets,
            connection: folder.database(),
        }
    }

    /// A state store on the database.
    pub(crate) async fn state_store(&self) -> Arc<dyn StateStore> {
        self.client()
            .await
            .open_state_store(&InstanceId::new("statestore"), &self.metadata(&[]))
            .await
            .unwrap()
    }

    /// A broker on the database.
    pub(crate) async fn pubsub(&self, properties: &[(&str, &str)]) -> Arc<dyn PubSub> {
        self.client()
            .await
            .open_pubsub(&InstanceId::new("pubsub"), &self.metadata(properties))
            .await
            .unwrap()
    }

    /// Ends it as a power switch would: no signal handler, no clean-up.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::KILL);
        assert!(!self.process.end().await.success());
    }

    async fn client(&self) -> Client {
        Client::connect(self.socket()).await.unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.sockets.path().join("sqlite.sock")
    }

    fn metadata(&self, properties: &[(&str, &str)]) -> Metadata {
        let mut all = Metadata::from([
            ("connectionString", self.connection.as_str()),
            ("consumerID", "app"),
        ]);
        for (key, value) in properties {
            all.insert(*key, *value);
        }
        all
    }
}
