//! A host that serves its API on a free port.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use dapr_pluggable::socket::SocketsFolder;
use dapr_pluggable_host::api::{self, Api};
use dapr_pluggable_host::{Catalogue, Host, Running};
use dapr_pluggable_testbed::{HttpAnswer, HttpRequest, socket_folder, within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::gated::Gate;

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) host: Running,
    /// What the store `gated` waits for.
    pub(crate) gate: Gate,
    serving: JoinHandle<()>,
    sockets: TempDir,
}

impl Served {
    /// With `orders` on SQLite in the folder, `gated` in memory, and the store `later` and the broker `bus`, whose socket is not
    /// there.
    pub(crate) async fn start(folder: &Path) -> Self {
        let database = folder.join("state.db");
        let resources = [
            resource("orders", "state.sqlite", &database.display().to_string()),
            resource("gated", "state.gated", ""),
            resource("later", "state.later", ""),
            resource("bus", "pubsub.later", ""),
        ];
        fs::write(folder.join("components.yaml"), resources.join("---\n")).unwrap();
        let gate = Gate::default();
        let catalogue = Catalogue::new()
            .with("sqlite", dapr_component_sqlite::blocks)
            .with("gated", {
                let gate = gate.clone();
                move || gate.blocks()
            });
        let sockets = socket_folder();
        let host = Host::new("app")
            .resources_path(folder)
            .sockets_folder(SocketsFolder::find(Some(sockets.path())))
            .catalogue(catalogue);
        let host = within("the start of the host", host.start()).await.unwrap();
        let listener = api::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(
            host.app_id(),
            Arc::clone(host.registry()),
            host.readiness().clone(),
            host.shutdown().clone(),
        );
        Self {
            address,
            host,
            gate,
            serving: tokio::spawn(api.serve(listener)),
            sockets,
        }
    }

    /// Where the socket of `later` and `bus` is looked for.
    pub(crate) fn sockets_folder(&self) -> &Path {
        self.sockets.path()
    }

    pub(crate) async fn send(&self, request: HttpRequest) -> HttpAnswer {
        send(self.address, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        self.send(HttpRequest::new("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> HttpAnswer {
        self.send(HttpRequest::new("POST", path).body(body)).await
    }

    /// Waits until the API serves no more.
    pub(crate) async fn served(&mut self) {
        within("the end of the API", &mut self.serving)
            .await
            .unwrap();
    }

    pub(crate) async fn stop(mut self) {
        self.host.shutdown().cancel();
        self.served().await;
        within("the end of the host", self.host.stop()).await;
    }
}

pub(crate) async fn send(address: SocketAddr, request: HttpRequest) -> HttpAnswer {
    within("an answer", request.send(address)).await
}

/// The body as JSON.
pub(crate) fn json(answer: &HttpAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn resource(name: &str, component_type: &str, connection: &str) -> String {
    format!(
        r#"apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {name}
spec:
  type: {component_type}
  version: v1
  metadata:
  - name: connectionString
    value: "{connection}"
"#
    )
}
