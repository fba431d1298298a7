//! The broker: a durable queue in a database.
//!
//! A topic is a list of messages in the order of their commits. A consumer group has a position in the list, up to which
//! it has claimed them, and a row for each message that was claimed and is not settled: who has it, until when, and how
//! often it came. So to publish is one row whatever the number of groups, and a new group begins at the oldest message.

mod claim;
mod cleanup;
mod queue;
mod schema;
mod subscriber;
mod watch;

use std::sync::Arc;

use dapr_pluggable::delivery::Deliveries;
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, PubSub, PubSubClaims, Publication, Subscription,
};
use dapr_pluggable::settings::Aliases;
use dapr_pluggable::{Component, Error, InstanceId, Open, Result, async_trait};
use tokio::task::JoinSet;

use self::queue::{NewMessage, Queue};
use self::schema::Tables;
use self::subscriber::Subscriber;
use self::watch::Watch;
use crate::database::Database;
use crate::schema::Schema;
use crate::settings::{ALIASES, SqlitePubSubSettings};

/// A broker in a SQLite database: durable topics, consumer groups, at least once.
#[derive(Debug)]
pub struct SqlitePubSub {
    broker: Arc<Broker>,
    group: Arc<str>,
    /// What goes on beside the calls, until the broker is closed or dropped.
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

/// What every subscription and every task has in common.
#[derive(Debug)]
struct Broker {
    database: Database,
    queue: Arc<Queue>,
    watch: Watch,
}

#[async_trait]
impl Open for SqlitePubSub {
    type Settings = SqlitePubSubSettings;

    const ALIASES: Aliases = ALIASES;

    async fn open(settings: SqlitePubSubSettings, instance: &InstanceId) -> Result<Self> {
        settings.validate()?;
        let tables = Arc::new(Tables::new(&settings.table_prefix));
        let schema = Arc::clone(&tables) as Arc<dyn Schema>;
        let database = Database::open(&settings.connection, schema).await?;
        let watched = database.connect_aside().await?;
        let broker = Arc::new(Broker {
            database,
            queue: Arc::new(Queue::new(tables, &settings)),
            watch: Watch::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(watch::run(Arc::clone(&broker), watched));
        tasks.spawn(cleanup::run(Arc::clone(&broker), settings.cleanup_interval));
        let group = settings.consumer_id.as_deref().unwrap_or(instance.as_str());
        Ok(Self {
            broker,
            group: group.into(),
            tasks: tokio::sync::Mutex::new(tasks),
        })
    }
}

#[async_trait]
impl Component for SqlitePubSub {
    async fn ping(&self) -> Result<()> {
        self.broker.database.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.tasks.lock().await.shutdown().await;
        self.broker.database.close().await
    }
}

#[async_trait]
impl PubSub for SqlitePubSub {
    fn claims(&self) -> PubSubClaims {
        PubSubClaims::none().with_message_ttl()
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        let topic = require_topic(publication.topic)?;
        let message = NewMessage::new(
            publication.data,
            &publication.metadata,
            publication.content_type,
            None,
        )?;
        self.broker.publish(topic, vec![message]).await
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        let topic = require_topic(subscription.topic)?;
        Subscriber::new(
            Arc::clone(&self.broker),
            topic,
            Arc::clone(&self.group),
            deliveries,
        )
        .run()
        .await
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }
}

#[async_trait]
impl BulkPublisher for SqlitePubSub {
    /// One transaction: all messages that are in order, or none.
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        let topic = require_topic(publication.topic)?;
        let mut failed = Vec::new();
        let mut messages = Vec::with_capacity(publication.entries.len());
        for entry in publication.entries {
            let shared = Some(&publication.metadata);
            match NewMessage::new(entry.data, &entry.metadata, entry.content_type, shared) {
                Ok(message) => messages.push(message),
                Err(error) => failed.push(FailedEntry::new(entry.entry_id, error)),
            }
        }
        if !messages.is_empty() {
            self.broker.publish(topic, messages).await?;
        }
        Ok(failed)
    }
}

impl Broker {
    async fn publish(&self, topic: String, messages: Vec<NewMessage>) -> Result<()> {
        let queue = Arc::clone(&self.queue);
        self.database
            .write(move |connection| queue.publish(connection, &topic, &messages))
            .await?;
        self.watch.bump();
        Ok(())
    }
}

fn require_topic(topic: String) -> Result<String> {
    if topic.is_empty() {
        return Err(Error::invalid_request("missing topic"));
    }
    Ok(topic)
}
