//! Calls of a secret store. Secrets are printed: that is what they were asked for.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use dapr_pluggable::Metadata;
use dapr_pluggable::secret::{GetSecretRequest, Secret};

use super::features;
use super::payload::print_raw;
use super::target::Target;
use crate::output::{self, Output};
use crate::values::entry;

#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Print a secret: its value, or a line for each of its keys
    Get {
        name: String,
        #[command(flatten)]
        options: Options,
    },
    /// Print all secrets, a line each
    Bulk {
        #[command(flatten)]
        options: Options,
    },
    /// Print what the instance can do, a feature a line
    Features,
    /// Ask whether the store's backend answers
    Ping,
}

#[derive(Args, Debug)]
pub(super) struct Options {
    /// An option of the request; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    request_metadata: Vec<(String, String)>,
}

impl Options {
    fn metadata(self) -> Metadata {
        self.request_metadata.into_iter().collect()
    }
}

impl Call {
    pub(super) async fn run(self, target: &Target) -> Result<ExitCode> {
        let store = target.secret_store().await?;
        match self {
            Self::Get { name, options } => {
                let what = format!("get the secret {name:?}");
                let mut request = GetSecretRequest::new(name);
                request.metadata = options.metadata();
                let secret = target.call(&what, store.get(request)).await?;
                print_secret(target.output, &secret)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Bulk { options } => {
                let call = store.bulk_get(options.metadata());
                let secrets = target.call("get all secrets", call).await?;
                print_secrets(target.output, &secrets)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Features => features::print(target, &features::of_secret_store(store.as_ref())),
            Self::Ping => {
                target.call("ping", store.ping()).await?;
                target.done()
            }
        }
    }
}

fn print_secret(output: Output, secret: &Secret) -> Result<()> {
    let values = secret.values();
    match (output, values.len()) {
        (Output::Json, _) => output::print_json(values),
        (Output::Text, 1) => values
            .values()
            .try_for_each(|value| print_raw(value.as_bytes())),
        (Output::Text, _) => values
            .iter()
            .try_for_each(|(key, value)| output::print(format!("{key}\t{value}\n"))),
    }
}

fn print_secrets(output: Output, secrets: &BTreeMap<String, Secret>) -> Result<()> {
    match output {
        Output::Json => {
            let values: BTreeMap<&String, _> = secrets
                .iter()
                .map(|(name, secret)| (name, secret.values()))
                .collect();
            output::print_json(&values)
        }
        Output::Text => secrets.iter().try_for_each(|(name, secret)| {
            secret.values().iter().try_for_each(|(key, value)| {
                if key == name {
                    output::print(format!("{name}\t{value}\n"))
                } else {
                    output::print(format!("{name}\t{key}\t{value}\n"))
                }
            })
        }),
    }
}
