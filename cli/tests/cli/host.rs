//! The verb `run` as a process, and its API.

use std::net::{Ipv4Addr, SocketAddr};

use dapr_pluggable_testbed::{HttpAnswer, HttpRequest, Process, Signal};
use serde_json::Value;
use tokio::process::Command;

use crate::program::pluggable;

/// A host that runs.
pub(crate) struct Host {
    pub(crate) process: Process,
    pub(crate) announcement: Value,
}

impl Host {
    /// Starts one at a free port, and waits until it is there.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments)).await
    }

    pub(crate) async fn spawn(command: &mut Command) -> Self {
        let process = Process::spawn(command);
        let line = process.says("\"http_port\"").await;
        let announcement = serde_json::from_str(&line).unwrap();
        Self {
            process,
            announcement,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let port = self.announcement["http_port"].as_u64().unwrap();
        (Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()).into()
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        HttpRequest::new("GET", path).send(self.address()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> HttpAnswer {
        let request = HttpRequest::new("POST", path).body(body);
        request.send(self.address()).await
    }

    pub(crate) async fn save(&self, store: &str, key: &str, value: &str) {
        let body = format!(r#"[{{"key":"{key}","value":"{value}"}}]"#);
        let answer = self.post(&format!("/v1.0/state/{store}"), &body).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The value of a key in JSON, as it is stored; empty where there is none.
    pub(crate) async fn value(&self, store: &str, key: &str) -> String {
        let answer = self.get(&format!("/v1.0/state/{store}/{key}")).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        String::from_utf8(answer.body).unwrap()
    }

    pub(crate) async fn stop(mut self) {
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.code().await, 0, "{}", self.process.log());
    }
}

/// A run at a free port that announces itself in JSON, and looks for sockets where there are none.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = pluggable(["run", "--output=json"]);
    let others = arguments.iter().take_while(|argument| **argument != "--");
    let mut given = others.map(|argument| argument.split('=').next().unwrap_or_default());
    let has_port = given.any(|flag| flag == "--dapr-http-port");
    if !has_port {
        command.arg("--dapr-http-port=0");
    }
    command
        .env("DAPR_COMPONENTS_SOCKETS_FOLDER", "/nowhere/at/all")
        .args(arguments);
    command
}
