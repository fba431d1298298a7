//! Where one test takes place.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dapr_pluggable_testbed::{Process, Redis, skip, socket_folder, unique};
use serde_json::Value;
use tempfile::TempDir;

use super::resources::{component, configuration, redis_of_dapr, subscription};
use super::sidecar::Launch;
use crate::program::{serve, text};

/// Folders of one test, and the runtime that it uses.
pub(crate) struct Site {
    sockets: TempDir,
    files: TempDir,
}

impl Site {
    /// A new one; `None` where `DAPRD` names no binary, which is noted.
    pub(crate) fn prepare(test: &str) -> Option<Self> {
        let Some(binary) = env::var_os("DAPRD").filter(|binary| !binary.is_empty()) else {
            let reason = "it drives a real runtime: name the binary of a daprd in DAPRD";
            skip(&format!("daprd::{test}"), reason);
            return None;
        };
        let binary = fs::canonicalize(&binary)
            .unwrap_or_else(|error| panic!("find the daprd that DAPRD names, {binary:?}: {error}"));
        let files = tempfile::tempdir().unwrap();
        // Components tell a runtime by the name of its process.
        symlink(binary, files.path().join("daprd")).unwrap();
        let names = files.path().join("names.db");
        let site = Self {
            sockets: socket_folder(),
            files,
        };
        fs::create_dir(site.resources_folder()).unwrap();
        fs::write(
            site.configuration_file(),
            configuration(text(&names)).to_string(),
        )
        .unwrap();
        Some(site)
    }

    /// A new one beside a Redis server; `None` where there is no runtime or no such server, which is noted.
    pub(crate) async fn prepare_with_redis(test: &str) -> Option<(Self, Redis)> {
        let site = Self::prepare(test)?;
        let redis = Redis::start(&format!("daprd::{test}")).await?;
        Some((site, redis))
    }

    pub(crate) fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// The path of a file for data.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The binary, under the name `daprd`.
    pub(crate) fn daprd(&self) -> PathBuf {
        self.file("daprd")
    }

    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.file("configuration.yaml")
    }

    pub(crate) fn resources_folder(&self) -> PathBuf {
        self.file("resources")
    }

    /// Writes one file with these resources, in this order; it takes the place of an earlier one.
    pub(crate) fn write_resources(&self, resources: &[Value]) {
        let documents: Vec<String> = resources.iter().map(Value::to_string).collect();
        let file = self.resources_folder().join("resources.yaml");
        fs::write(file, documents.join("\n---\n")).unwrap();
    }

    /// Writes a state store and a broker with the topic `orders`, in one file, so that what they keep is there for the next
    /// process.
    pub(crate) fn keep_in_sqlite(&self) {
        let file = self.file("data.db");
        let metadata = [("connectionString", text(&file))];
        self.write_resources(&[
            component("store", "state.sqlite-local", &metadata),
            component("broker", "pubsub.sqlite-local", &metadata),
            subscription("broker", "orders"),
        ]);
    }

    /// The same in Redis, by components of the types `state.<name>` and `pubsub.<name>`, set up as Dapr's own are.
    pub(crate) fn keep_in_redis(&self, redis: &Redis, name: &str) {
        let host = redis.host();
        let metadata = redis_of_dapr(&host);
        self.write_resources(&[
            component("store", &format!("state.{name}"), &metadata),
            component("broker", &format!("pubsub.{name}"), &metadata),
            subscription("broker", "orders"),
        ]);
    }

    /// Serves a component under a name that no component of daprd's own has: `memory-local` for `memory`.
    pub(crate) async fn serve(&self, component: &str) -> Process {
        self.serve_with(component, &[]).await
    }

    pub(crate) async fn serve_with(&self, component: &str, flags: &[&str]) -> Process {
        let name = local(component);
        let arguments = [&[component, "--as", &name], flags].concat();
        serve(self.sockets(), &arguments).await
    }

    /// A runtime to be started, for an application whose id begins so.
    pub(crate) fn sidecar(&self, application: &str) -> Launch<'_> {
        Launch::new(self, unique(application))
    }
}

/// The name under which [`Site::serve`] serves a component.
pub(crate) fn local(component: &str) -> String {
    format!("{component}-local")
}
