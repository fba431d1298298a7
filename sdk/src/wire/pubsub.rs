//! The broker's messages.

use std::collections::HashSet;

use dapr_pluggable_protocol::components::v1 as proto;

use super::{Identified, Wire, feature_list, non_empty, take_feature};
use crate::delivery::Ack;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::pubsub::{
    BulkPublication, BulkPublishEntry, FailedEntry, Message, PubSubClaims, Publication,
    Subscription,
};

/// Without it, the runtime holds each message of a bulk subscription back for a second.
const BULK_SUBSCRIBE_IMMEDIATE: &str = "BULK_SUBSCRIBE_IMMEDIATE";
const BULK_PUBSUB: &str = "BULK_PUBSUB";
const MESSAGE_TTL: &str = "MESSAGE_TTL";
const SUBSCRIBE_WILDCARDS: &str = "SUBSCRIBE_WILDCARDS";

/// What an instance of a broker can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) claims: PubSubClaims,
    /// Whether it takes many messages at once.
    pub(crate) bulk_publisher: bool,
}

impl Wire for Features {
    type Message = proto::FeaturesResponse;

    fn from_wire(proto::FeaturesResponse { mut features }: Self::Message) -> Result<Self> {
        let mut take = |name| take_feature(&mut features, name);
        // It says how this protocol delivers, nothing about the broker.
        take(BULK_SUBSCRIBE_IMMEDIATE);
        let bulk_publisher = take(BULK_PUBSUB);
        let (message_ttl, wildcards) = (take(MESSAGE_TTL), take(SUBSCRIBE_WILDCARDS));
        Ok(Self {
            claims: PubSubClaims {
                message_ttl,
                wildcards,
                other: features,
            },
            bulk_publisher,
        })
    }

    fn into_wire(self) -> Self::Message {
        let known = [
            (BULK_SUBSCRIBE_IMMEDIATE, true),
            (BULK_PUBSUB, self.bulk_publisher),
            (MESSAGE_TTL, self.claims.message_ttl),
            (SUBSCRIBE_WILDCARDS, self.claims.wildcards),
        ];
        feature_list(known, self.claims.other)
    }
}

impl Wire for Publication {
    type Message = proto::PublishRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            topic: topic(message.topic, "publication")?,
            data: message.data,
            pubsub_name: message.pubsub_name,
            metadata: Metadata::from(message.metadata),
            content_type: non_empty(message.content_type),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::PublishRequest {
            data: self.data,
            pubsub_name: self.pubsub_name,
            topic: self.topic,
            metadata: self.metadata.into_map(),
            content_type: self.content_type.unwrap_or_default(),
        }
    }
}

impl Wire for BulkPublication {
    type Message = proto::BulkPublishRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        require_ids(&message.entries)?;
        let entries = message.entries.into_iter().map(|entry| BulkPublishEntry {
            entry_id: entry.entry_id,
            data: entry.event,
            metadata: Metadata::from(entry.metadata),
            content_type: non_empty(entry.content_type),
        });
        Ok(Self {
            topic: topic(message.topic, "bulk publication")?,
            pubsub_name: message.pubsub_name,
            entries: entries.collect(),
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        let entries = self.entries.into_iter();
        let entries = entries.map(|entry| proto::BulkMessageEntry {
            entry_id: entry.entry_id,
            event: entry.data,
            content_type: entry.content_type.unwrap_or_default(),
            metadata: entry.metadata.into_map(),
        });
        proto::BulkPublishRequest {
            entries: entries.collect(),
            pubsub_name: self.pubsub_name,
            topic: self.topic,
            metadata: self.metadata.into_map(),
        }
    }
}

impl Wire for Vec<FailedEntry> {
    type Message = proto::BulkPublishResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let failed = message.failed_entries.into_iter();
        Ok(failed
            .map(|entry| FailedEntry {
                entry_id: entry.entry_id,
                error: entry.error,
            })
            .collect())
    }

    fn into_wire(self) -> Self::Message {
        let failed = self.into_iter();
        let failed = failed.map(|entry| proto::BulkPublishResponseFailedEntry {
            entry_id: entry.entry_id,
            error: entry.error,
        });
        proto::BulkPublishResponse {
            failed_entries: failed.collect(),
        }
    }
}

/// The first frame of a pull stream. The frames after it are [answers](answer).
impl Wire for Subscription {
    type Message = proto::PullMessagesRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let subscribed = message.topic.ok_or_else(|| {
            Error::invalid_request("the first frame of the pull stream has no topic")
        })?;
        Ok(Self {
            topic: topic(subscribed.name, "subscription")?,
            metadata: Metadata::from(subscribed.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::PullMessagesRequest {
            topic: Some(proto::Topic {
                name: self.topic,
                metadata: self.metadata.into_map(),
            }),
            ..Default::default()
        }
    }
}

impl Wire for Identified<Message> {
    type Message = proto::PullMessagesResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            id: message.id,
            content: Message {
                topic: message.topic_name,
                data: message.data,
                metadata: Metadata::from(message.metadata),
                content_type: non_empty(message.content_type),
            },
        })
    }

    fn into_wire(self) -> Self::Message {
        let Self { id, content } = self;
        proto::PullMessagesResponse {
            data: content.data,
            topic_name: content.topic,
            metadata: content.metadata.into_map(),
            content_type: content.content_type.unwrap_or_default(),
            id,
        }
    }
}

/// The answer that a later frame of a pull stream holds, and to which message.
pub(crate) fn read_answer(message: proto::PullMessagesRequest) -> (String, Ack) {
    let ack = message
        .ack_error
        .map_or(Ack::Accepted, |error| Ack::Rejected(error.message));
    (message.ack_message_id, ack)
}

/// The frame that answers a message; `None` for an abandoned one, which is told by silence.
pub(crate) fn answer(id: String, ack: Ack) -> Option<proto::PullMessagesRequest> {
    let ack_error = match ack {
        Ack::Accepted => None,
        Ack::Rejected(message) => Some(proto::AckMessageError { message }),
        Ack::Abandoned => return None,
    };
    Some(proto::PullMessagesRequest {
        topic: None,
        ack_message_id: id,
        ack_error,
    })
}

fn topic(name: String, what: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::invalid_request(format!("the {what} has no topic")));
    }
    Ok(name)
}

/// Every entry has an id of its own: failures are reported by it.
fn require_ids(entries: &[proto::BulkMessageEntry]) -> Result<()> {
    let mut seen = HashSet::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let id = entry.entry_id.as_str();
        if id.is_empty() {
            let number = index + 1;
            return Err(Error::invalid_request(format!(
                "entry {number} of the bulk publication has no id"
            )));
        }
        if !seen.insert(id) {
            return Err(Error::invalid_request(format!(
                "two entries of the bulk publication have the id {id:?}"
            )));
        }
    }
    Ok(())
}
