//! From a publish to a subscriber.

use bytes::Bytes;
use dapr_pluggable::ErrorKind;
use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::Publication;

use super::{Broker, check};
use crate::check::{Check, Verdict};
use crate::expect::{equal, refused};

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("delivery", &[], delivery),
        check("metadata", &[], metadata),
        check("topics_are_apart", &[], topics_are_apart),
        check(
            "publish_without_subscriber",
            &[],
            publish_without_subscriber,
        ),
        check("empty_topic", &[], empty_topic),
        check("end_of_subscription", &[], end_of_subscription),
    ]
}

/// Messages are bytes and arrive as they were published, on their topic.
async fn delivery(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 8).await?;
    let messages = [
        Bytes::from("text"),
        Bytes::from_iter(0..=u8::MAX),
        Bytes::new(),
        Bytes::from(vec![b'x'; 256 * 1024]),
    ];
    for message in messages {
        broker.publish(&topic, message.clone()).await?;
        let delivered = subscriber.next().await?;
        subscriber.answer(&delivered, Ack::Accepted);
        equal("the topic of a message", &delivered.message.topic, &topic)?;
        // A large one is nothing to read in a report.
        equal(
            format!(
                "whether a message of {} bytes arrives as it was",
                message.len()
            ),
            delivered.message.data == message,
            true,
        )?;
    }
    Ok(())
}

/// Metadata of a publish is no reason to refuse it, and no part of the data.
async fn metadata(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 1).await?;
    let mut publication = Publication::new(&topic, "data");
    publication.metadata.insert("rawPayload", "true");
    publication.metadata.insert("odd key", "grüße");
    broker.pubsub.publish(publication).await?;
    let data = subscriber.settle(Ack::Accepted).await?;
    equal("the data of a message with metadata", data, "data".into())
}

async fn topics_are_apart(broker: Broker) -> Verdict {
    let (a, b) = (broker.topic("a"), broker.topic("b"));
    let mut of_a = broker.subscribe(&a, 8).await?;
    let mut of_b = broker.subscribe(&b, 8).await?;
    broker.publish(&a, "for a").await?;
    broker.publish(&b, "for b").await?;
    equal(
        "the message of a",
        of_a.settle(Ack::Accepted).await?,
        "for a".into(),
    )?;
    equal(
        "the message of b",
        of_b.settle(Ack::Accepted).await?,
        "for b".into(),
    )?;
    of_a.silence().await?;
    of_b.silence().await
}

async fn publish_without_subscriber(broker: Broker) -> Verdict {
    broker.publish(&broker.topic("lonely"), "data").await
}

async fn empty_topic(broker: Broker) -> Verdict {
    let outcome = broker.pubsub.publish(Publication::new("", "data")).await;
    let kinds = [ErrorKind::InvalidRequest];
    refused("a publish without a topic", outcome, &kinds)?;
    Ok(())
}

/// A subscription that is over lets go of the broker, with messages in it or without.
async fn end_of_subscription(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    broker.subscribe(&topic, 1).await?.stop().await?;
    let mut subscriber = broker.subscribe(&topic, 1).await?;
    broker.publish(&topic, "unanswered").await?;
    subscriber.next().await?;
    subscriber.stop().await
}
