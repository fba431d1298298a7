//! Calls of a state store.

mod json;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use dapr_pluggable::state::{
    BulkEntry, Concurrency, Consistency, DeleteRequest, Etag, GetRequest, Parallelism, QueryPage,
    SetRequest, StateStore,
};
use dapr_pluggable::{Error, Metadata};
use serde_json::json;

use self::json::{Item, Page, Transaction};
use super::features;
use super::payload::{print_line, print_raw};
use super::target::Target;
use crate::exit;
use crate::output::{self, Output};
use crate::values::{entry, read};

#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Print the value of a key
    Get {
        key: String,
        #[command(flatten)]
        options: Options,
    },
    /// Write a value
    Set {
        key: String,
        /// The value: a text, @file, or - for standard input
        value: String,
        /// Seconds after which the value goes
        #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
        ttl: Option<i64>,
        /// The type of the value, such as application/json
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        #[command(flatten)]
        condition: Condition,
        #[command(flatten)]
        options: Options,
    },
    /// Remove a key
    Delete {
        key: String,
        #[command(flatten)]
        condition: Condition,
        #[command(flatten)]
        options: Options,
    },
    /// Print the values of several keys, a line each: key, tab, value
    BulkGet {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Write several values in one call
    BulkSet {
        /// A key and its value: a text, or @file
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = entry)]
        entries: Vec<(String, String)>,
        #[command(flatten)]
        options: Options,
    },
    /// Remove several keys in one call
    BulkDelete {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Run a transaction
    Transact {
        /// The body of Dapr's HTTP API, {"operations":[…]}: JSON, @file, or - for standard input. A value is written
        /// as its JSON text, or give "base64" in its place
        transaction: String,
    },
    /// Search
    Query {
        /// The body of Dapr's HTTP API, {"filter":{…},"sort":[…],"page":{…}}: JSON, @file, or - for standard input
        query: String,
        /// An option of the request; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
        request_metadata: Vec<(String, String)>,
    },
    /// Print how many operations a transaction may have at most, or "unlimited"
    MaxOperations,
    /// Print what the instance can do, a feature a line
    Features,
    /// Ask whether the store's backend answers
    Ping,
}

/// What every call has.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// An option of the request; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    request_metadata: Vec<(String, String)>,
    /// What is asked of replicas
    #[arg(long, value_enum)]
    consistency: Option<Replicas>,
}

/// What must be so for a write to happen.
#[derive(Args, Debug)]
pub(super) struct Condition {
    /// The stored value must have this etag
    #[arg(long)]
    etag: Option<String>,
    /// What to do about other writers
    #[arg(long, value_enum)]
    concurrency: Option<Writers>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Replicas {
    Eventual,
    Strong,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Writers {
    FirstWrite,
    LastWrite,
}

impl Call {
    pub(super) async fn run(self, target: &Target) -> Result<ExitCode> {
        let store = target.state_store().await?;
        let store = store.as_ref();
        match self {
            Self::Get { key, options } => get(target, store, options.get(&key)).await,
            Self::Set {
                key,
                value,
                ttl,
                content_type,
                condition,
                options,
            } => {
                let mut request = options.set(&key, read(&value).await?);
                if let Some(ttl) = ttl {
                    request.metadata.insert("ttlInSeconds", ttl.to_string());
                }
                request.content_type = content_type;
                (request.etag, request.concurrency) = condition.parts();
                let what = format!("set {key:?}");
                target.call(&what, store.set(request)).await?;
                target.done()
            }
            Self::Delete {
                key,
                condition,
                options,
            } => {
                let mut request = options.delete(&key);
                (request.etag, request.concurrency) = condition.parts();
                let what = format!("delete {key:?}");
                target.call(&what, store.delete(request)).await?;
                target.done()
            }
            Self::BulkGet { keys, options } => {
                let requests = keys.iter().map(|key| options.get(key)).collect();
                let call = store.bulk_get(requests, Parallelism::default());
                print_entries(target, target.call("bulk get", call).await?)
            }
            Self::BulkSet { entries, options } => {
                let mut requests = Vec::with_capacity(entries.len());
                for (key, value) in &entries {
                    requests.push(options.set(key, read(value).await?));
                }
                let call = store.bulk_set(requests, Parallelism::default());
                target.call("bulk set", call).await?;
                target.done()
            }
            Self::BulkDelete { keys, options } => {
                let requests = keys.iter().map(|key| options.delete(key)).collect();
                let call = store.bulk_delete(requests, Parallelism::default());
                target.call("bulk delete", call).await?;
                target.done()
            }
            Self::Transact { transaction } => transact(target, store, &transaction).await,
            Self::Query {
                query,
                request_metadata,
            } => {
                let metadata = request_metadata.into_iter().collect();
                search(target, store, &query, metadata).await
            }
            Self::MaxOperations => max_operations(target, store).await,
            Self::Features => features::print(target, &features::of_state_store(store)),
            Self::Ping => {
                target.call("ping", store.ping()).await?;
                target.done()
            }
        }
    }
}

impl Options {
    fn get(&self, key: &str) -> GetRequest {
        let mut request = GetRequest::new(key);
        request.metadata = self.metadata();
        request.consistency = self.consistency();
        request
    }

    fn set(&self, key: &str, value: bytes::Bytes) -> SetRequest {
        let mut request = SetRequest::new(key, value);
        request.metadata = self.metadata();
        request.consistency = self.consistency();
        request
    }

    fn delete(&self, key: &str) -> DeleteRequest {
        let mut request = DeleteRequest::new(key);
        request.metadata = self.metadata();
        request.consistency = self.consistency();
        request
    }

    fn metadata(&self) -> Metadata {
        self.request_metadata.iter().cloned().collect()
    }

    fn consistency(&self) -> Consistency {
        match self.consistency {
            None => Consistency::Unspecified,
            Some(Replicas::Eventual) => Consistency::Eventual,
            Some(Replicas::Strong) => Consistency::Strong,
        }
    }
}

impl Condition {
    fn parts(self) -> (Option<Etag>, Concurrency) {
        let concurrency = match self.concurrency {
            None => Concurrency::Unspecified,
            Some(Writers::FirstWrite) => Concurrency::FirstWrite,
            Some(Writers::LastWrite) => Concurrency::LastWrite,
        };
        (self.etag.map(Etag::new), concurrency)
    }
}

async fn get(target: &Target, store: &dyn StateStore, request: GetRequest) -> Result<ExitCode> {
    let key = request.key.clone();
    let entry = target
        .call(&format!("get {key:?}"), store.get(request))
        .await?;
    let code = match &entry {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(exit::NOTHING),
    };
    match (target.output, entry) {
        (Output::Json, entry) => output::print_json(&Item::new(&key, Ok(entry.as_ref())))?,
        (Output::Text, Some(entry)) => print_raw(&entry.value)?,
        (Output::Text, None) => output::note(&format!("there is no value for {key:?}")),
    }
    Ok(code)
}

/// Prints the answers to a bulk get. Keys without a value are no failure here; those that could not be read are.
fn print_entries(target: &Target, entries: Vec<BulkEntry>) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for entry in &entries {
        if let Err(error) = &entry.outcome {
            code = ExitCode::from(exit::FAILED);
            output::note(&format!("{:?}: {error}", entry.key));
        } else if let (Output::Text, Ok(None)) = (target.output, &entry.outcome) {
            output::note(&format!("there is no value for {:?}", entry.key));
        }
    }
    match target.output {
        Output::Json => {
            let items: Vec<Item<'_>> = entries
                .iter()
                .map(|entry| Item::new(&entry.key, entry.outcome.as_ref().map(Option::as_ref)))
                .collect();
            output::print_json(&items)?;
        }
        Output::Text => {
            for entry in entries {
                if let Ok(Some(value)) = entry.outcome {
                    print_line(&[entry.key.as_bytes(), b"\t", &value.value].concat())?;
                }
            }
        }
    }
    Ok(code)
}

async fn transact(target: &Target, store: &dyn StateStore, argument: &str) -> Result<ExitCode> {
    let (operations, metadata) = Transaction::parse(&read(argument).await?)?.into_parts()?;
    let transactional = store
        .transactional()
        .ok_or_else(|| Error::unsupported("transactions"));
    let call = async { transactional?.transact(operations, metadata).await };
    target.call("transact", call).await?;
    target.done()
}

async fn max_operations(target: &Target, store: &dyn StateStore) -> Result<ExitCode> {
    let transactional = store
        .transactional()
        .ok_or_else(|| Error::unsupported("transactions"));
    let call = async { transactional?.max_operations().await };
    let limit = target.call("max operations", call).await?;
    match (target.output, limit) {
        (Output::Json, limit) => output::print_json(&json!({ "max_operations": limit }))?,
        (Output::Text, Some(limit)) => output::print(format!("{limit}\n"))?,
        (Output::Text, None) => output::print("unlimited\n")?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn search(
    target: &Target,
    store: &dyn StateStore,
    argument: &str,
    metadata: Metadata,
) -> Result<ExitCode> {
    let mut query = json::query(&read(argument).await?)?;
    query.metadata = metadata;
    let queryable = store
        .queryable()
        .ok_or_else(|| Error::unsupported("queries"));
    let call = async { queryable?.query(query).await };
    print_page(target, target.call("query", call).await?)
}

fn print_page(target: &Target, page: QueryPage) -> Result<ExitCode> {
    if target.output == Output::Json {
        output::print_json(&Page::new(&page))?;
        return Ok(ExitCode::SUCCESS);
    }
    for item in &page.items {
        match &item.error {
            Some(error) => output::note(&format!("{:?}: {error}", item.key)),
            None => print_line(&[item.key.as_bytes(), b"\t", &item.value].concat())?,
        }
    }
    if let Some(token) = page.token.filter(|token| !token.is_empty()) {
        let page = json!({ "page": { "token": token } });
        output::note(&format!("there may be more: ask with {page}"));
    }
    Ok(ExitCode::SUCCESS)
}
