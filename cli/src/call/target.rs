//! Who is called, and how calls end.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use dapr_pluggable::binding::{InputBinding, OutputBinding};
use dapr_pluggable::client::Client;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{Error, ErrorKind, InstanceId, Metadata, Opener as _};
use serde_json::json;
use tokio::time::timeout;

use crate::exit::{self, Failure};
use crate::output::{self, Output};
use crate::progress;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An instance of a component behind a socket.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) socket: PathBuf,
    pub(crate) instance: InstanceId,
    /// With what to open it; `None` where it is open already.
    pub(crate) properties: Option<Metadata>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) output: Output,
}

impl Target {
    pub(crate) async fn state_store(&self) -> Result<Arc<dyn StateStore>> {
        let client = self.client().await?;
        let instance = &self.instance;
        match &self.properties {
            Some(with) => {
                self.call("open", client.open_state_store(instance, with))
                    .await
            }
            None => {
                self.call("attach", client.attach_state_store(instance))
                    .await
            }
        }
    }

    pub(crate) async fn pubsub(&self) -> Result<Arc<dyn PubSub>> {
        let client = self.client().await?;
        let instance = &self.instance;
        match &self.properties {
            Some(with) => self.call("open", client.open_pubsub(instance, with)).await,
            None => self.call("attach", client.attach_pubsub(instance)).await,
        }
    }

    pub(crate) async fn input_binding(&self) -> Result<Arc<dyn InputBinding>> {
        let client = self.client().await?;
        let instance = &self.instance;
        match &self.properties {
            Some(with) => {
                self.call("open", client.open_input_binding(instance, with))
                    .await
            }
            None => {
                self.call("attach", client.attach_input_binding(instance))
                    .await
            }
        }
    }

    pub(crate) async fn output_binding(&self) -> Result<Arc<dyn OutputBinding>> {
        let client = self.client().await?;
        let instance = &self.instance;
        match &self.properties {
            Some(with) => {
                self.call("open", client.open_output_binding(instance, with))
                    .await
            }
            None => {
                self.call("attach", client.attach_output_binding(instance))
                    .await
            }
        }
    }

    pub(crate) async fn secret_store(&self) -> Result<Arc<dyn SecretStore>> {
        let client = self.client().await?;
        let instance = &self.instance;
        match &self.properties {
            Some(with) => {
                self.call("open", client.open_secret_store(instance, with))
                    .await
            }
            None => {
                self.call("attach", client.attach_secret_store(instance))
                    .await
            }
        }
    }

    async fn client(&self) -> Result<Client> {
        self.call("connect", Client::connect(&self.socket)).await
    }

    /// Runs a call within its time. An error names the call and the gRPC code.
    pub(crate) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T> {
        let cap = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let waiting = format!("{what}: waiting for an answer");
        match progress::shown(&waiting, timeout(cap, call)).await {
            Ok(outcome) => outcome.map_err(|error| self.explain(what, &error)),
            Err(_) => Err(anyhow!("{what}: no answer within {cap:?}")),
        }
    }

    /// An error as people see it.
    pub(crate) fn explain(&self, what: &str, error: &Error) -> anyhow::Error {
        let mut text = named(what, error);
        if *error.kind() == ErrorKind::NotOpened && self.properties.is_none() {
            let instance = self.instance.as_str();
            text = format!(
                "nobody has opened the instance {instance:?}: add --init, or --metadata KEY=VALUE, to open it first ({text})"
            );
        }
        let exit = match error.kind() {
            ErrorKind::NotFound => exit::NOTHING,
            _ => exit::FAILED,
        };
        Failure::new(exit, coded(error, &text)).into()
    }

    /// Ends a call that gives nothing back.
    pub(crate) fn done(&self) -> Result<ExitCode> {
        if self.output == Output::Json {
            output::print_json(&json!({ "ok": true }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An error of a call, in one line with the call and the gRPC code.
pub(crate) fn described(what: &str, error: &Error) -> String {
    coded(error, &named(what, error))
}

fn named(what: &str, error: &Error) -> String {
    match error.to_string() {
        named if named.starts_with(what) => named,
        unnamed => format!("{what}: {unnamed}"),
    }
}

fn coded(error: &Error, text: &str) -> String {
    let code = error
        .wire()
        .map_or_else(|| error.kind().grpc_code(), |status| status.code);
    format!("{}: {text}", code_name(code))
}

fn code_name(code: u32) -> &'static str {
    match code {
        1 => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}
