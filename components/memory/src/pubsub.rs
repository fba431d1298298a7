//! The broker: topics, consumer groups, at least once for as long as the process lives.

mod broker;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::delivery::Deliveries;
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Message, PubSub, PubSubClaims, Publication,
    Subscription,
};
use dapr_pluggable::settings::Ttl;
use dapr_pluggable::{Bytes, Component, Error, InstanceId, Metadata, Result, async_trait};
use tokio::time::Instant;

pub(crate) use self::broker::Broker;
use crate::delivery::deliver;
use crate::settings::{MemoryPubSubSettings, RedeliverySettings};

/// How long a publish waits for room, all its messages together.
const PATIENCE: Duration = Duration::from_secs(5);

/// A broker in memory.
///
/// A topic of a subscription may end in `*`: it then takes every topic that begins with what is before it and goes on. A
/// message goes to one subscriber of each consumer group of each such topic, and again until one accepts it. Messages come
/// in the order of their publishing; one that was rejected is overtaken by others while it waits.
///
/// Pausing needs nothing here: a window has no room while its runtime has paused.
#[derive(Debug)]
pub struct MemoryPubSub {
    broker: Arc<Broker>,
    group: Arc<str>,
    redelivery: RedeliverySettings,
}

impl Component for MemoryPubSub {}

#[async_trait]
impl PubSub for MemoryPubSub {
    fn claims(&self) -> PubSubClaims {
        PubSubClaims::none().with_message_ttl().with_wildcards()
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        require_topic(&publication.topic)?;
        let end = end(Ttl::from_metadata(&publication.metadata)?);
        let message = message(
            &publication.topic,
            publication.data,
            publication.metadata,
            publication.content_type,
        );
        let deadline = Instant::now() + PATIENCE;
        self.broker.publish(message, end, deadline).await
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        require_topic(&subscription.topic)?;
        let queue = self.broker.queue(&subscription.topic, &self.group);
        deliver(&queue, deliveries, self.redelivery).await;
        Ok(())
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }
}

#[async_trait]
impl BulkPublisher for MemoryPubSub {
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        require_topic(&publication.topic)?;
        let deadline = Instant::now() + PATIENCE;
        let mut failed = Vec::new();
        for entry in publication.entries {
            let ttl = match Ttl::from_metadata(&entry.metadata) {
                Ok(Ttl::Absent) => Ttl::from_metadata(&publication.metadata),
                ttl => ttl,
            };
            let message = message(
                &publication.topic,
                entry.data,
                entry.metadata,
                entry.content_type,
            );
            let published = match ttl {
                Ok(ttl) => self.broker.publish(message, end(ttl), deadline).await,
                Err(error) => Err(error),
            };
            if let Err(error) = published {
                failed.push(FailedEntry::new(entry.entry_id, error));
            }
        }
        Ok(failed)
    }
}

impl MemoryPubSub {
    pub(crate) fn new(
        broker: Arc<Broker>,
        settings: MemoryPubSubSettings,
        instance: &InstanceId,
    ) -> Result<Self> {
        let redelivery = *settings.redelivery;
        redelivery.validate()?;
        let group = settings.consumer_id.as_deref().unwrap_or(instance.as_str());
        Ok(Self {
            broker,
            group: group.into(),
            redelivery,
        })
    }
}

fn message(topic: &str, data: Bytes, metadata: Metadata, content_type: Option<String>) -> Message {
    let mut message = Message::new(topic, data).with_metadata(metadata);
    message.content_type = content_type;
    message
}

/// When a message that lives so long is of no use any more.
fn end(ttl: Ttl) -> Option<Instant> {
    match ttl {
        Ttl::Seconds(seconds) => Instant::now().checked_add(Duration::from_secs(seconds.into())),
        Ttl::Absent | Ttl::Never => None,
    }
}

fn require_topic(topic: &str) -> Result<()> {
    if topic.is_empty() {
        return Err(Error::invalid_request("missing topic"));
    }
    Ok(())
}
