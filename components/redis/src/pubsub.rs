//! The broker: a stream for each topic and a group of its consumers, as Dapr's own `pubsub.redis` keeps them.

mod entry;
mod fetch;
mod group;
mod held;
mod id;
mod reclaim;
mod settle;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::delivery::Deliveries;
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, PubSub, Publication, Subscription,
};
use dapr_pluggable::settings::Rules;
use dapr_pluggable::{Component, Error, ErrorKind, InstanceId, Open, Result, async_trait};
use redis::{Cmd, RedisError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::entry::Trimming;
use self::group::Group;
use self::subscriber::Subscriber;
use crate::connection::Connection;
use crate::settings::{NackPolicy, RedisPubSubSettings};

/// A broker in Redis streams.
#[derive(Debug)]
pub struct RedisPubSub {
    connection: Arc<Connection>,
    group: Arc<str>,
    trimming: Trimming,
    rules: Arc<Consumption>,
    closed: CancellationToken,
}

/// How subscriptions take messages and what becomes of them.
#[derive(Debug)]
struct Consumption {
    /// How long a message may wait for its answer; `None` is for ever.
    patience: Option<Duration>,
    /// How often to look for messages that nobody works on any more; `None` is never.
    reclaim: Option<Duration>,
    /// How many messages one read takes at most.
    batch: usize,
    /// A place for each message that may be delivered and unanswered, over all subscriptions.
    places: Option<Arc<Semaphore>>,
    on_reject: NackPolicy,
    /// How often a rejected message is delivered; zero is without limit.
    most: u64,
}

#[async_trait]
impl Open for RedisPubSub {
    type Settings = RedisPubSubSettings;

    const RULES: Rules = Rules::Strict;

    async fn open(settings: RedisPubSubSettings, instance: &InstanceId) -> Result<Self> {
        let in_streams = |error: Error| error.context("redis streams");
        settings.validate().map_err(in_streams)?;
        let connection = Connection::open(&settings.connection)
            .await
            .map_err(in_streams)?;
        let group = settings.consumer_id.as_deref();
        let group = group.filter(|name| !name.is_empty());
        Ok(Self {
            connection: Arc::new(connection),
            group: group.unwrap_or(instance.as_str()).into(),
            trimming: Trimming::new(&settings),
            rules: Arc::new(Consumption::new(&settings)),
            closed: CancellationToken::new(),
        })
    }
}

#[async_trait]
impl Component for RedisPubSub {
    async fn ping(&self) -> Result<()> {
        self.connection.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.closed.cancel();
        self.connection.close();
        Ok(())
    }
}

#[async_trait]
impl PubSub for RedisPubSub {
    async fn publish(&self, publication: Publication) -> Result<()> {
        let Publication {
            topic,
            data,
            metadata,
            ..
        } = publication;
        self.require_topic(&topic)?;
        let add = entry::add(&topic, self.trimming, &data, [&metadata])?;
        match self.connection.write(&add).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_published(error)),
        }
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        self.require_topic(&subscription.topic)?;
        let group = Group::new(
            Arc::clone(&self.connection),
            subscription.topic,
            Arc::clone(&self.group),
        );
        Subscriber::new(group, Arc::clone(&self.rules), deliveries, &self.closed)
            .run()
            .await
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }
}

#[async_trait]
impl BulkPublisher for RedisPubSub {
    /// One round trip. Each message is taken or not by itself; without an answer from Redis the call fails as a whole, and
    /// any of them may have been taken.
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        let BulkPublication {
            topic,
            entries,
            metadata,
            ..
        } = publication;
        self.require_topic(&topic)?;
        let adds = entries
            .iter()
            .map(|entry| {
                let metadata = [&metadata, &entry.metadata];
                entry::add(&topic, self.trimming, &entry.data, metadata)
            })
            .collect::<Result<Vec<Cmd>>>()?;
        let answers = self.connection.write_all(&adds).await;
        let answers = answers.map_err(|error| self.not_published(error))?;
        let answered = entries.into_iter().zip(answers);
        Ok(answered
            .filter_map(|(entry, answer)| {
                let error = self.not_published(answer.err()?);
                Some(FailedEntry::new(entry.entry_id, error))
            })
            .collect())
    }
}

impl RedisPubSub {
    fn require_topic(&self, topic: &str) -> Result<()> {
        if self.closed.is_cancelled() {
            return Err(closed());
        }
        if topic.is_empty() {
            return Err(Error::invalid_request("missing topic"));
        }
        Ok(())
    }

    fn not_published(&self, error: RedisError) -> Error {
        let error = self.connection.error(error);
        error.context("redis streams: error from publish")
    }
}

impl Consumption {
    fn new(settings: &RedisPubSubSettings) -> Self {
        let set = |time: Duration| Some(time).filter(|time| !time.is_zero());
        let concurrency = settings.concurrency.map(|most| most as usize);
        let most = [Some(settings.queue_depth as usize), concurrency];
        let most = most.into_iter().flatten().filter(|most| *most > 0);
        let patience = set(settings.processing_timeout);
        Self {
            patience,
            reclaim: patience.and_then(|_| set(settings.redeliver_interval)),
            batch: most.min().unwrap_or(usize::MAX).min(LARGEST_BATCH),
            places: concurrency.map(|most| Arc::new(Semaphore::new(most))),
            on_reject: settings.nack_policy,
            most: settings.max_delivery_count.into(),
        }
    }
}

/// How many messages a command is about at most, whatever the settings say: Redis does one at a time.
const LARGEST_BATCH: usize = 1000;

fn closed() -> Error {
    Error::new(ErrorKind::NotOpened, "component is closed")
}
