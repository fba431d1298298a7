//! A `daprd` as a process, and its HTTP API.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use dapr_pluggable_testbed::{
    HttpAnswer, HttpRequest, Process, Signal, eventually, free_port, within,
};
use rustix::process::{Pid, kill_process_group};
use serde_json::Value;
use tokio::process::Command;

use super::application::Application;
use super::site::Site;
use crate::program::text;

/// How often a runtime is started anew because somebody was faster at one of its ports.
const ATTEMPTS: u32 = 5;

/// How to start a runtime.
pub(crate) struct Launch<'a> {
    site: &'a Site,
    app_id: String,
    application: Option<SocketAddr>,
    flags: Vec<String>,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(site: &'a Site, app_id: String) -> Self {
        Self {
            site,
            app_id,
            application: None,
            flags: Vec::new(),
        }
    }

    pub(crate) fn app_id(mut self, app_id: &str) -> Self {
        app_id.clone_into(&mut self.app_id);
        self
    }

    /// The application's id.
    pub(crate) fn id(&self) -> &str {
        &self.app_id
    }

    pub(crate) fn application(mut self, application: &Application) -> Self {
        self.application = Some(application.address());
        self
    }

    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Sidecar {
        let mut sidecar = self.spawn();
        for _ in 1..ATTEMPTS {
            if sidecar.is_ready().await {
                return sidecar;
            }
            sidecar = self.spawn();
        }
        assert!(sidecar.is_ready().await, "{}", sidecar.process.log());
        sidecar
    }

    /// Starts it as the command of another program, which gets it at the end of its arguments, and waits until it is
    /// ready.
    pub(crate) async fn start_by(&self, program: impl Fn() -> Command) -> Sidecar {
        for _ in 0..ATTEMPTS {
            let mut command = program();
            command.arg(self.site.daprd()).process_group(0);
            let mut sidecar = self.spawn_as(command);
            sidecar.has_family = true;
            if sidecar.is_ready().await {
                return sidecar;
            }
        }
        panic!("somebody was always faster at a port");
    }

    /// Starts it.
    pub(crate) fn spawn(&self) -> Sidecar {
        let mut command = Command::new(self.site.daprd());
        command
            .env_clear()
            .env("DAPR_COMPONENTS_SOCKETS_FOLDER", self.site.sockets())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.spawn_as(command)
    }

    fn spawn_as(&self, mut command: Command) -> Sidecar {
        let http_port = free_port();
        for (flag, port) in [
            ("--dapr-http-port", http_port),
            ("--dapr-grpc-port", free_port()),
            ("--dapr-internal-grpc-port", free_port()),
            ("--metrics-port", free_port()),
            ("--profile-port", free_port()),
        ] {
            command.arg(flag).arg(port.to_string());
        }
        for flag in [
            "--dapr-listen-addresses",
            "--dapr-internal-grpc-listen-address",
            "--metrics-listen-address",
        ] {
            command.args([flag, "127.0.0.1"]);
        }
        if let Some(application) = self.application {
            let port = application.port().to_string();
            command.args(["--app-port", &port]);
        }
        command
            // What it would call itself in the network.
            .env("DAPR_HOST_IP", "127.0.0.1")
            .args(["--app-id", &self.app_id])
            .args(["--config", text(&self.site.configuration_file())])
            .args(["--resources-path", text(&self.site.resources_folder())])
            .args(&self.flags);
        Sidecar {
            process: Process::spawn(&mut command),
            app_id: self.app_id.clone(),
            address: (Ipv4Addr::LOCALHOST, http_port).into(),
            has_family: false,
        }
    }
}

/// A runtime that runs.
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    app_id: String,
    address: SocketAddr,
    /// Whether the process leads a group of its own, in which the runtime is.
    has_family: bool,
}

impl Sidecar {
    pub(crate) fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Where its HTTP API is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is up and has all it needs, the application included.
    pub(crate) async fn is_healthy(&self) -> bool {
        // At the port of this one there might be another one.
        let target = format!("/v1.0/healthz?appid={}", self.app_id);
        let answer = HttpRequest::new("GET", target).try_send(self.address).await;
        answer.is_ok_and(|answer| answer.status == 204)
    }

    /// Waits until it is ready; not if it ended because a port was in use.
    async fn is_ready(&mut self) -> bool {
        let mut has_ended = false;
        eventually("a runtime is ready", async || {
            has_ended = !self.process.is_running();
            has_ended || self.is_healthy().await
        })
        .await;
        if has_ended {
            self.process.end().await;
            let log = self.process.log();
            assert!(log.contains("address already in use"), "{log}");
        }
        !has_ended
    }

    pub(crate) async fn send(&self, request: HttpRequest) -> HttpAnswer {
        within("an answer of a runtime", request.send(self.address)).await
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        self.send(HttpRequest::new("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.send(post(path, body)).await
    }

    /// Publishes, which has to work.
    pub(crate) async fn publish(&self, pubsub: &str, topic: &str, data: &str) {
        let path = format!("/v1.0/publish/{pubsub}/{topic}");
        let answer = self.post(&path, &data.into()).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Asks it to stop, and expects it to do so in order.
    pub(crate) async fn stop(mut self) {
        self.process.signal(Signal::TERM);
        self.stopped().await;
    }

    /// Waits for its end, which has to be in order.
    pub(crate) async fn stopped(&mut self) {
        assert_eq!(self.process.code().await, 0, "{}", self.process.log());
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if self.has_family && self.process.is_running() {
            let id = i32::try_from(self.process.id())
                .ok()
                .and_then(Pid::from_raw);
            // Whoever has just ended needs no signal.
            let _ = id.map(|id| kill_process_group(id, Signal::KILL));
        }
    }
}

/// A request with a body in JSON.
pub(crate) fn post(path: &str, body: &Value) -> HttpRequest {
    HttpRequest::new("POST", path)
        .header("content-type", "application/json")
        .body(body.to_string())
}
