//! The connection of a subscription, on which it blocks.

use std::sync::Arc;

use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Redis, RedisCluster, Subscriber, eventually};

use crate::pubsub::{numbers, publish};

async fn open(properties: &[(&str, &str)]) -> Arc<dyn PubSub> {
    let mut metadata: Metadata = properties.iter().copied().collect();
    metadata.insert("consumerID", "app");
    dapr_component_redis::blocks()
        .open_pubsub(&InstanceId::new("pubsub"), &metadata)
        .await
        .unwrap()
}

/// How many connections wait in a command on a server.
async fn blocked(redis: &Redis) -> usize {
    let list: String = redis.command(&["CLIENT", "LIST"]).await;
    let flags = list.lines().filter_map(|line| line.split(" flags=").nth(1));
    flags.filter(|flags| flags.starts_with('b')).count()
}

#[tokio::test]
async fn it_is_closed_with_its_subscription_while_it_blocks() {
    let test = "it_is_closed_with_its_subscription_while_it_blocks";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let pubsub = open(&[("redisHost", &redis.host())]).await;
    let subscriber = Subscriber::start(&pubsub, "topic", 8);
    eventually("it waits", async || blocked(&redis).await == 1).await;
    let before: usize = connections(&redis).await;
    // Its task is dropped at once, as when a runtime stops.
    drop(subscriber);
    eventually("nobody waits", async || blocked(&redis).await == 0).await;
    eventually("its connection is closed", async || {
        connections(&redis).await == before - 1
    })
    .await;
}

async fn connections(redis: &Redis) -> usize {
    let list: String = redis.command(&["CLIENT", "LIST"]).await;
    list.lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows_its_stream_through_a_cluster() {
    let test = "it_follows_its_stream_through_a_cluster";
    let Some(cluster) = RedisCluster::start(test).await else {
        return;
    };
    let pubsub = open(&[("redisHost", &cluster.hosts()), ("redisType", "cluster")]).await;
    let mut subscriber = Subscriber::start(&pubsub, "topic", 8);
    let slot = cluster.slot("topic").await;
    let mut owner = cluster.owner(slot).await;
    for number in numbers(4) {
        eventually("it waits", async || blocked(cluster.node(owner)).await == 1).await;
        publish(&pubsub, "topic", &number).await;
        assert_eq!(subscriber.accept().await, number);
        eventually("it waits", async || blocked(cluster.node(owner)).await == 1).await;
        owner = (owner + 1) % 3;
        cluster.move_slot(slot, owner).await;
    }
    subscriber.stop().await.unwrap();
}
