//! `pluggable serve sqlite` on a database that outlives it, with state and messages in one file.

use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, socket_folder};
use tempfile::TempDir;

use crate::program::{serve, text};

/// A process that serves the component, and a folder for its socket and its database.
pub(crate) struct Sqlite {
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
}

impl Sqlite {
    /// Starts one in a folder of its own.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(socket_folder(), arguments).await
    }

    /// Starts one in a folder, on the database that is there.
    pub(crate) async fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let process = serve(folder.path(), &[&["sqlite"], arguments].concat()).await;
        Self { process, folder }
    }

    /// A connection of a runtime of its own.
    pub(crate) async fn client(&self) -> Client {
        let socket = self.folder.path().join("sqlite.sock");
        Client::connect(socket).await.unwrap()
    }

    /// The state store.
    pub(crate) async fn state_store(&self, client: &Client) -> Arc<dyn StateStore> {
        let instance = InstanceId::new("statestore");
        let metadata = self.metadata();
        let store = client.open_state_store(&instance, &metadata).await;
        store.unwrap()
    }

    /// The broker.
    pub(crate) async fn pubsub(&self, client: &Client) -> Arc<dyn PubSub> {
        let instance = InstanceId::new("pubsub");
        let mut metadata = self.metadata();
        metadata.insert("consumerID", "app");
        metadata.insert("visibilityTimeout", "500ms");
        client.open_pubsub(&instance, &metadata).await.unwrap()
    }

    fn metadata(&self) -> Metadata {
        let database = self.folder.path().join("data.db");
        Metadata::from([("connectionString", text(&database))])
    }
}
