//! Calls of a message broker.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use dapr_pluggable::Error;
use dapr_pluggable::delivery::{self, Ack, Gate};
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublishEntry, Pausable, PubSub, Publication, Subscription,
};
use serde::Serialize;

use super::features;
use super::receive::Receive;
use super::target::Target;
use crate::exit;
use crate::output::{self, Output};
use crate::values::{entry, read};

#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Publish a message
    Publish {
        topic: String,
        /// The message: a text, @file, or - for standard input
        data: String,
        /// The type of the message
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        /// An option of the request, such as ttlInSeconds=60; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
        request_metadata: Vec<(String, String)>,
    },
    /// Publish several messages in one call
    BulkPublish {
        topic: String,
        /// A message: a text, or @file
        #[arg(required = true)]
        data: Vec<String>,
        /// An option of the request; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
        request_metadata: Vec<(String, String)>,
    },
    /// Receive messages and print them, a line each
    Pull {
        topic: String,
        #[command(flatten)]
        receive: Receive,
        /// An option of the subscription; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
        request_metadata: Vec<(String, String)>,
    },
    /// Ask the broker to hold back the messages of this caller's subscriptions. Components of this SDK know a caller by its
    /// process, and this one has none; others may hold back what they deliver to all
    Pause,
    /// Ask the broker to go on after a pause
    Resume,
    /// Print what the instance can do, a feature a line
    Features,
    /// Ask whether the broker answers
    Ping,
}

impl Call {
    pub(super) async fn run(self, target: &Target) -> Result<ExitCode> {
        let broker = target.pubsub().await?;
        let broker = broker.as_ref();
        match self {
            Self::Publish {
                topic,
                data,
                content_type,
                request_metadata,
            } => {
                let what = format!("publish to {topic:?}");
                let mut publication = Publication::new(topic, read(&data).await?);
                publication.pubsub_name = target.instance.as_str().to_owned();
                publication.content_type = content_type;
                publication.metadata = request_metadata.into_iter().collect();
                target.call(&what, broker.publish(publication)).await?;
                target.done()
            }
            Self::BulkPublish {
                topic,
                data,
                request_metadata,
            } => {
                let mut entries = Vec::with_capacity(data.len());
                for (index, data) in data.iter().enumerate() {
                    let id = (index + 1).to_string();
                    entries.push(BulkPublishEntry::new(id, read(data).await?));
                }
                let mut publication = BulkPublication::new(topic, entries);
                publication.pubsub_name = target.instance.as_str().to_owned();
                publication.metadata = request_metadata.into_iter().collect();
                bulk_publish(target, broker, publication).await
            }
            Self::Pull {
                topic,
                receive,
                request_metadata,
            } => {
                let mut subscription = Subscription::new(topic);
                subscription.metadata = request_metadata.into_iter().collect();
                let (deliveries, messages) = delivery::window(receive.window(), &Gate::new());
                let subscribed = broker.subscribe(subscription, deliveries);
                receive
                    .run(target, messages, subscribed, Ack::Accepted)
                    .await
            }
            Self::Pause => {
                let call = async { pausable(broker)?.pause().await };
                target.call("pause", call).await?;
                target.done()
            }
            Self::Resume => {
                let call = async { pausable(broker)?.resume().await };
                target.call("resume", call).await?;
                target.done()
            }
            Self::Features => features::print(target, &features::of_broker(broker)),
            Self::Ping => {
                target.call("ping", broker.ping()).await?;
                target.done()
            }
        }
    }
}

fn pausable(broker: &dyn PubSub) -> Result<&dyn Pausable, Error> {
    broker
        .pausable()
        .ok_or_else(|| Error::unsupported("pause and resume"))
}

async fn bulk_publish(
    target: &Target,
    broker: &dyn PubSub,
    publication: BulkPublication,
) -> Result<ExitCode> {
    #[derive(Serialize)]
    struct Failed {
        id: String,
        error: String,
    }
    #[derive(Serialize)]
    struct Answer {
        ok: bool,
        failed: Vec<Failed>,
    }
    let what = format!("bulk publish to {:?}", publication.topic);
    let publisher = broker
        .bulk_publisher()
        .ok_or_else(|| Error::unsupported("bulk publish"));
    let call = async { publisher?.bulk_publish(publication).await };
    let failed: Vec<Failed> = target
        .call(&what, call)
        .await?
        .into_iter()
        .map(|entry| Failed {
            id: entry.entry_id,
            error: entry.error,
        })
        .collect();
    let ok = failed.is_empty();
    match target.output {
        Output::Json => output::print_json(&Answer { ok, failed })?,
        Output::Text => {
            for entry in failed {
                output::note(&format!("message {}: {}", entry.id, entry.error));
            }
        }
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}
