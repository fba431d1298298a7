//! The broker.

mod delivery;
mod faults;
mod golden;
mod processes;
mod publish;
mod redelivery;

use std::sync::Arc;

use dapr_pluggable::pubsub::{PubSub, Publication};
use dapr_pluggable::{InstanceId, Metadata, Opener as _, Result};
use dapr_pluggable_testbed::{Redis, eventually_equal};
use redis::Value;

/// The metadata of a resource on a server, for an application `app`.
pub(crate) fn metadata(redis: &Redis, properties: &[(&str, &str)]) -> Metadata {
    let host = redis.host();
    let mut all = Metadata::from([("redisHost", host.as_str()), ("consumerID", "app")]);
    for (key, value) in properties {
        all.insert(*key, *value);
    }
    all
}

pub(crate) async fn try_open(metadata: &Metadata) -> Result<Arc<dyn PubSub>> {
    dapr_component_redis::blocks()
        .open_pubsub(&InstanceId::new("pubsub"), metadata)
        .await
}

pub(crate) async fn open(redis: &Redis, properties: &[(&str, &str)]) -> Arc<dyn PubSub> {
    try_open(&metadata(redis, properties)).await.unwrap()
}

pub(crate) async fn publish(pubsub: &Arc<dyn PubSub>, topic: &str, text: &str) {
    let publication = Publication::new(topic, text.to_owned());
    pubsub.publish(publication).await.unwrap();
}

/// How many entries of a topic the group `app` has and has not acknowledged.
pub(crate) async fn unacknowledged(redis: &Redis, topic: &str) -> i64 {
    let summary: Vec<Value> = redis.command(&["XPENDING", topic, "app"]).await;
    redis::from_redis_value(summary.into_iter().next().unwrap()).unwrap()
}

/// Waits until the group `app` has so many unacknowledged entries of a topic.
pub(crate) async fn eventually_unacknowledged(redis: &Redis, topic: &str, count: i64) {
    eventually_equal("unacknowledged entries", count, async || {
        unacknowledged(redis, topic).await
    })
    .await;
}

/// Numbers as texts.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
