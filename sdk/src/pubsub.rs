//! Publish/subscribe: the trait, its requests and answers.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::component::Component;
use crate::delivery::Deliveries;
use crate::error::Result;
use crate::metadata::Metadata;

/// A message broker.
#[async_trait]
pub trait PubSub: Component {
    /// What the broker does beyond the methods it has. The runtime reads it once, after Init.
    fn claims(&self) -> PubSubClaims {
        PubSubClaims::default()
    }

    /// Hands a message to the broker. `Ok` means that the broker has it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the broker does not answer, and whatever it reports.
    async fn publish(&self, publication: Publication) -> Result<()>;

    /// Delivers the messages of a topic for as long as the subscription lives: give each to
    /// [`deliveries.deliver`](Deliveries::deliver) and settle it at the broker by the answer. When
    /// [`deliveries.closed`](Deliveries::closed) fires, settle what was answered and return, within 5 s; a message
    /// without answer by then is left to be delivered again.
    ///
    /// # Errors
    /// What the broker reports. Returning at all while the subscription lives, with or without an error, ends its
    /// stream as `UNAVAILABLE`. Afterwards [`Closed`](crate::delivery::Closed), which `?` gives, is no error.
    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()>;

    /// The broker as one that takes many messages at once, if this instance does. Feature `BULK_PUBSUB`.
    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        None
    }

    /// The broker as one that can be told to stop fetching, if this instance can. Messages stop reaching a paused
    /// runtime in any case, the SDK sees to that.
    fn pausable(&self) -> Option<&dyn Pausable> {
        None
    }
}

/// A broker that takes many messages at once.
#[async_trait]
pub trait BulkPublisher: Send + Sync {
    /// Hands messages to the broker; those that it did not take come back with the reason.
    ///
    /// # Errors
    /// When none was taken.
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>>;
}

/// A broker that can be told to stop fetching. Both calls are idempotent; streams stay open, answers stay welcome.
#[async_trait]
pub trait Pausable: Send + Sync {
    /// Fetches no more messages.
    ///
    /// # Errors
    /// What the broker reports.
    async fn pause(&self) -> Result<()>;

    /// Goes on fetching.
    ///
    /// # Errors
    /// What the broker reports.
    async fn resume(&self) -> Result<()>;
}

/// What a broker does beyond the methods it has.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PubSubClaims {
    /// The broker drops messages after metadata `ttlInSeconds`. Feature `MESSAGE_TTL`; without it the runtime does.
    pub message_ttl: bool,
    /// A topic of a subscription may end in `*`. Feature `SUBSCRIBE_WILDCARDS`.
    pub wildcards: bool,
    /// Further feature names, passed on as they are.
    pub other: Vec<String>,
}

impl PubSubClaims {
    /// Nothing beyond the methods.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With a time to live for messages.
    #[must_use]
    pub fn with_message_ttl(mut self) -> Self {
        self.message_ttl = true;
        self
    }

    /// With wildcard subscriptions.
    #[must_use]
    pub fn with_wildcards(mut self) -> Self {
        self.wildcards = true;
        self
    }

    /// With a feature of another name.
    #[must_use]
    pub fn with_other(mut self, feature: impl Into<String>) -> Self {
        self.other.push(feature.into());
        self
    }
}

/// A message to publish.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The topic.
    pub topic: String,
    /// The message, usually a CloudEvent as JSON.
    pub data: Bytes,
    /// The component's resource name, as the application named it.
    pub pubsub_name: String,
    /// Options of this message.
    pub metadata: Metadata,
    /// The type of `data`; today's runtime never says.
    pub content_type: Option<String>,
}

impl Publication {
    /// A message for a topic, with no options.
    pub fn new(topic: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            data: data.into(),
            ..Self::default()
        }
    }
}

/// Many messages to publish to one topic.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkPublication {
    /// The topic.
    pub topic: String,
    /// The component's resource name, as the application named it.
    pub pubsub_name: String,
    /// The messages; no two have one id.
    pub entries: Vec<BulkPublishEntry>,
    /// Options of all of them.
    pub metadata: Metadata,
}

impl BulkPublication {
    /// Messages for a topic, with no options.
    pub fn new(topic: impl Into<String>, entries: Vec<BulkPublishEntry>) -> Self {
        Self {
            topic: topic.into(),
            entries,
            ..Self::default()
        }
    }
}

/// One message of many.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkPublishEntry {
    /// Its id within the call.
    pub entry_id: String,
    /// The message.
    pub data: Bytes,
    /// Options of this message.
    pub metadata: Metadata,
    /// The type of `data`.
    pub content_type: Option<String>,
}

impl BulkPublishEntry {
    /// A message with its id.
    pub fn new(entry_id: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            entry_id: entry_id.into(),
            data: data.into(),
            ..Self::default()
        }
    }
}

/// A message of many that the broker did not take.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedEntry {
    /// Its id within the call.
    pub entry_id: String,
    /// Why.
    pub error: String,
}

impl FailedEntry {
    /// The entry of that id failed with that error.
    pub fn new(entry_id: impl Into<String>, error: impl fmt::Display) -> Self {
        Self {
            entry_id: entry_id.into(),
            error: error.to_string(),
        }
    }
}

/// What a subscription asks for.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// Options of the subscription.
    pub metadata: Metadata,
}

impl Subscription {
    /// To a topic, with no options.
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            ..Self::default()
        }
    }
}

/// A message on its way to a subscriber.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The message as it was published.
    pub data: Bytes,
    /// What else there is to know; over HTTP each entry becomes a header of the request to the application.
    pub metadata: Metadata,
    /// The type of `data`; leave it out unless the broker keeps it.
    pub content_type: Option<String>,
}

impl Message {
    /// A message of a topic.
    pub fn new(topic: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            data: data.into(),
            ..Self::default()
        }
    }

    /// With metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}
