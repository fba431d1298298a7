//! `pluggable serve` with one component, and what outlives it: a database in a file, or a server.

use std::path::PathBuf;
use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, Redis, socket_folder};
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::{pluggable, text};

/// A process that serves a component, and a folder for its socket and its database.
pub(crate) struct Served {
    pub(crate) component: &'static str,
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
    pub(crate) redis: Option<Redis>,
}

impl Served {
    /// Starts `redis` in front of a server, and waits until it serves.
    pub(crate) async fn start_redis(redis: Redis) -> Self {
        let mut served = Self::start("redis", &[]).await;
        served.redis = Some(redis);
        served
    }

    /// Starts one in a folder of its own, and waits until it serves.
    pub(crate) async fn start(component: &'static str, arguments: &[&str]) -> Self {
        let served = Self::begin(component, arguments);
        served.process.says("serving").await;
        served
    }

    /// Starts one in a folder of its own.
    pub(crate) fn begin(component: &'static str, arguments: &[&str]) -> Self {
        let folder = socket_folder();
        let process = Process::spawn(&mut command(component, &folder, arguments));
        Self {
            component,
            process,
            folder,
            redis: None,
        }
    }

    /// Starts it again where it was, after its end.
    pub(crate) async fn start_again(&mut self, arguments: &[&str]) {
        self.process = Process::spawn(&mut command(self.component, &self.folder, arguments));
        self.process.says("serving").await;
    }

    /// Starts another one for the same socket.
    pub(crate) fn begin_another(&self) -> Process {
        Process::spawn(&mut command(self.component, &self.folder, &[]))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        let file = format!("{}.sock", self.component);
        self.folder.path().join(file)
    }

    /// Whether what it has is in a file.
    pub(crate) fn is_durable(&self) -> bool {
        self.component == "sqlite"
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.socket()).await.unwrap()
    }

    /// The state store.
    pub(crate) async fn state_store(&self, client: &Client) -> Arc<dyn StateStore> {
        let (instance, metadata) = (InstanceId::new("statestore"), self.metadata(&[]));
        let store = client.open_state_store(&instance, &metadata).await;
        store.unwrap()
    }

    /// The broker.
    pub(crate) async fn pubsub(&self, client: &Client) -> Arc<dyn PubSub> {
        self.pubsub_with(client, &[]).await
    }

    /// The broker, where what was in the hands of a killed process comes again soon. Also what somebody is slow with.
    pub(crate) async fn impatient_pubsub(&self, client: &Client) -> Arc<dyn PubSub> {
        let soon = match self.redis {
            None => &[("visibilityTimeout", "500ms")][..],
            Some(_) => &[
                ("processingTimeout", "500ms"),
                ("redeliverInterval", "100ms"),
            ],
        };
        self.pubsub_with(client, soon).await
    }

    async fn pubsub_with(&self, client: &Client, properties: &[(&str, &str)]) -> Arc<dyn PubSub> {
        let mut metadata = self.metadata(properties);
        metadata.insert("consumerID", "app");
        let instance = InstanceId::new("pubsub");
        client.open_pubsub(&instance, &metadata).await.unwrap()
    }

    /// Metadata of an instance.
    pub(crate) fn metadata(&self, properties: &[(&str, &str)]) -> Metadata {
        let mut metadata = Metadata::new();
        if self.is_durable() {
            let database = self.folder.path().join("data.db");
            metadata.insert("connectionString", text(&database));
        }
        if let Some(redis) = &self.redis {
            metadata.insert("redisHost", redis.host());
        }
        for (key, value) in properties {
            metadata.insert(*key, *value);
        }
        metadata
    }
}

fn command(component: &str, folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = pluggable(["serve", component, "--sockets-folder"]);
    command.arg(folder.path()).args(arguments);
    command
}
