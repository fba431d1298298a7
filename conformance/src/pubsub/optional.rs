//! What only some brokers do.

use std::collections::BTreeSet;
use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::{BulkPublication, BulkPublishEntry, Publication};

use super::{Broker, check, check_one_by_one};
use crate::check::{Check, Finding, Need, Verdict};
use crate::expect::{equal, holds};

const BULK_PUBSUB: Need = Need::Claim("BULK_PUBSUB");
const MESSAGE_TTL: Need = Need::Claim("MESSAGE_TTL");
const WILDCARDS: Need = Need::Claim("SUBSCRIBE_WILDCARDS");

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("bulk_publish", &[BULK_PUBSUB], bulk_publish),
        check("bulk_publish_nothing", &[BULK_PUBSUB], bulk_publish_nothing),
        check_one_by_one("message_ttl", &[MESSAGE_TTL], message_ttl),
        check("wildcards", &[WILDCARDS], wildcards),
        check("pause", &[], pause),
    ]
}

async fn bulk_publish(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 32).await?;
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let entries = ids
        .iter()
        .map(|id| BulkPublishEntry::new(id, format!("message {id}")));
    let failed = send(&broker, BulkPublication::new(&topic, entries.collect())).await?;
    holds(
        format!("every entry to be taken, not {failed:?} to fail"),
        failed.is_empty(),
    )?;
    let mut found = BTreeSet::new();
    for _ in &ids {
        let data = subscriber.settle(Ack::Accepted).await?;
        found.insert(String::from_utf8_lossy(&data).into_owned());
    }
    let expected = ids.iter().map(|id| format!("message {id}"));
    equal("what arrives", found, expected.collect())?;
    subscriber.silence().await
}

async fn bulk_publish_nothing(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let failed = send(&broker, BulkPublication::new(&topic, Vec::new())).await?;
    equal(
        "the number of entries of nothing that failed",
        failed.len(),
        0,
    )
}

/// A message whose time is over does not arrive any more.
async fn message_ttl(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 1).await?;
    broker.publish(&topic, "holds the place").await?;
    let held = subscriber.next().await?;
    let mut short = Publication::new(&topic, "short");
    short.metadata.insert("ttlInSeconds", "1");
    broker.pubsub.publish(short).await?;
    let mut long = Publication::new(&topic, "long");
    long.metadata.insert("ttlInSeconds", "3600");
    broker.pubsub.publish(long).await?;
    // Its life is what this is about; nothing tells when it is over.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    subscriber.answer(&held, Ack::Accepted);
    let data = subscriber.settle(Ack::Accepted).await?;
    equal("the message that is left", data, "long".into())?;
    subscriber.silence().await
}

/// A topic that ends in `*` is every topic that begins so. Messages come under the topic of the subscription, by which
/// the runtime knows where they go.
async fn wildcards(broker: Broker) -> Verdict {
    let (topic, other) = (broker.topic("orders.eu"), broker.topic("bills.eu"));
    let subscribed = broker.topic("orders.*");
    let mut subscriber = broker.join(&subscribed, 8);
    subscriber.hear(&broker, &topic).await?;
    broker.publish(&other, "bill").await?;
    broker.publish(&topic, "order").await?;
    let delivered = subscriber.next().await?;
    subscriber.answer(&delivered, Ack::Accepted);
    equal("the message", delivered.message.data, "order".into())?;
    equal(
        "the topic of the message",
        delivered.message.topic,
        subscribed,
    )?;
    subscriber.silence().await
}

/// Nothing arrives in a pause, answers are welcome, and it goes on afterwards; each as often as it is said.
async fn pause(broker: Broker) -> Verdict {
    let Some(pausable) = broker.pubsub.pausable() else {
        return Err(Finding::Skipped("it cannot pause".to_owned()));
    };
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 8).await?;
    broker.publish(&topic, "before").await?;
    let before = subscriber.next().await?;
    match pausable.pause().await {
        Err(error) if *error.kind() == ErrorKind::Unsupported => {
            return Err(Finding::Skipped("it cannot pause".to_owned()));
        }
        outcome => outcome?,
    }
    pausable.pause().await?;
    subscriber.answer(&before, Ack::Accepted);
    broker.publish(&topic, "during").await?;
    subscriber.silence().await?;
    pausable.resume().await?;
    pausable.resume().await?;
    let data = subscriber.settle(Ack::Accepted).await?;
    equal("the message after the pause", data, "during".into())?;
    subscriber.silence().await
}

async fn send(
    broker: &Broker,
    publication: BulkPublication,
) -> Verdict<Vec<dapr_pluggable::pubsub::FailedEntry>> {
    let publisher = broker
        .pubsub
        .bulk_publisher()
        .ok_or_else(|| Finding::Failed("it claims BULK_PUBSUB and publishes no bulk".to_owned()))?;
    Ok(publisher.bulk_publish(publication).await?)
}
