//! Calls of a binding, out and in.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use dapr_pluggable::binding::InvokeRequest;
use dapr_pluggable::delivery::{self, Gate, Reply};
use serde::Serialize;
use serde_json::json;

use super::payload::{Payload, print_raw, sorted};
use super::receive::Receive;
use super::target::Target;
use crate::output::{self, Output};
use crate::values::{entry, read};

#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Run an operation of an output binding, and print what it gives
    Invoke {
        /// The operation, such as create
        operation: String,
        /// The data: a text, @file, or - for standard input
        #[arg(default_value = "", hide_default_value = true)]
        data: String,
        /// An option of the request; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
        request_metadata: Vec<(String, String)>,
    },
    /// Print the operations of an output binding, a line each
    Operations,
    /// Receive events of an input binding and print them, a line each
    Read {
        /// What to answer: a text, @file, or - for standard input
        #[arg(
            long,
            value_name = "DATA",
            default_value = "",
            hide_default_value = true,
            conflicts_with_all = ["reject", "no_ack"]
        )]
        reply: String,
        #[command(flatten)]
        receive: Receive,
    },
    /// Ask whether what is behind the binding answers
    Ping {
        /// Ask the input binding, not the output binding
        #[arg(long)]
        input: bool,
    },
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    payload: Payload,
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

impl Call {
    pub(super) async fn run(self, target: &Target) -> Result<ExitCode> {
        match self {
            Self::Invoke {
                operation,
                data,
                request_metadata,
            } => {
                let binding = target.output_binding().await?;
                let what = format!("invoke {operation:?}");
                let mut request = InvokeRequest::new(operation, read(&data).await?);
                request.metadata = request_metadata.into_iter().collect();
                let response = target.call(&what, binding.invoke(request)).await?;
                match target.output {
                    Output::Text => print_raw(&response.data)?,
                    Output::Json => output::print_json(&Answer {
                        payload: Payload::new(&response.data),
                        metadata: sorted(&response.metadata),
                        content_type: response.content_type.as_deref(),
                    })?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Operations => {
                let operations = target.output_binding().await?.operations();
                match target.output {
                    Output::Text => {
                        for operation in operations {
                            output::print(format!("{operation}\n"))?;
                        }
                    }
                    Output::Json => output::print_json(&json!({ "operations": operations }))?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Read { reply, receive } => {
                let binding = target.input_binding().await?;
                let reply = Reply::Handled(read(&reply).await?);
                let (events, incoming) = delivery::window(receive.window(), &Gate::new());
                receive
                    .run(target, incoming, binding.read(events), reply)
                    .await
            }
            Self::Ping { input } => {
                if input {
                    let binding = target.input_binding().await?;
                    target.call("ping", binding.ping()).await?;
                } else {
                    let binding = target.output_binding().await?;
                    target.call("ping", binding.ping()).await?;
                }
                target.done()
            }
        }
    }
}
