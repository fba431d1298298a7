//! What can be asked of a running `daprd` from outside.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::core::PeerId;

/// How long the sidecar may take to answer.
const ANSWER_CAP: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 3500;
const PROCESS_NAME: &str = "daprd";

/// Sends `SIGHUP` to a peer that is a `daprd` of our own pid namespace. Says whether it did.
#[cfg(target_os = "linux")]
pub(super) fn hang_up(peer: PeerId) -> bool {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let PeerId::Process(id) = peer else {
        return false;
    };
    // What the descriptor names stays that process, even when its id is given to another one meanwhile.
    let process = Pid::from_raw(id).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let (Some(process), true) = (process, is_daprd(id)) else {
        return false;
    };
    match pidfd_send_signal(process, Signal::HUP) {
        Ok(()) => {
            tracing::warn!(
                pid = id,
                "sent SIGHUP to daprd: it will init its components anew"
            );
            true
        }
        Err(error) => {
            tracing::warn!(pid = id, %error, "failed to send SIGHUP to daprd");
            false
        }
    }
}

/// Sends nothing: only Linux tells who a peer is.
#[cfg(not(target_os = "linux"))]
pub(super) fn hang_up(_: PeerId) -> bool {
    false
}

/// Whether a peer is known to be no `daprd`: a tool that calls by hand, say. Of a peer in another pid namespace nothing
/// is known.
pub(super) fn is_another(peer: PeerId) -> bool {
    let PeerId::Process(id) = peer else {
        return false;
    };
    let status = std::fs::read_to_string(format!("/proc/{id}/status"));
    status.is_ok_and(|status| field(&status, "Name") != Some(PROCESS_NAME))
}

/// Whether a process is named `daprd` and lives in our pid namespace: one in a nested namespace has an id there, too.
#[cfg(target_os = "linux")]
fn is_daprd(id: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else {
        return false;
    };
    field(&status, "Name") == Some(PROCESS_NAME)
        && field(&status, "NSpid").is_some_and(|ids| ids.split_whitespace().count() == 1)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(key, value)| (key == name).then_some(value.trim()))
}

/// The sidecar of this process, by its HTTP API.
#[derive(Clone)]
pub(in super::super) struct Sidecar {
    port: u16,
    token: Option<String>,
}

impl Sidecar {
    /// The one at a port, which may ask for a token.
    pub(super) fn new(port: u16, token: Option<String>) -> Self {
        Self { port, token }
    }

    /// The one that the environment names: `DAPR_HTTP_PORT`, else 3500, and `DAPR_API_TOKEN`.
    pub(in super::super) fn from_env() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let port = set("DAPR_HTTP_PORT").map(|port| {
            port.parse().unwrap_or_else(|_| {
                tracing::warn!(
                    DAPR_HTTP_PORT = port,
                    default = DEFAULT_PORT,
                    "not a port number"
                );
                DEFAULT_PORT
            })
        });
        Self::new(port.unwrap_or(DEFAULT_PORT), set("DAPR_API_TOKEN"))
    }

    /// Asks the sidecar to stop.
    pub(super) async fn shut_down(&self) -> Result<(), String> {
        match timeout(ANSWER_CAP, self.post("/v1.0/shutdown")).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(format!("it answered {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {ANSWER_CAP:?}")),
        }
    }

    async fn post(&self, path: &str) -> Result<http::StatusCode, crate::error::BoxError> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, self.to_string());
        if let Some(token) = &self.token {
            request = request.header("dapr-api-token", token);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        // However the connection ends, the request knows.
        let connection = async {
            drop(connection.await);
            pending().await
        };
        tokio::select! {
            response = sender.send_request(request) => Ok(response?.status()),
            never = connection => never,
        }
    }
}

impl fmt::Display for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.0.0.1:{}", self.port)
    }
}
