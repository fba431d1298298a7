//! Redis goes away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dapr_pluggable::ErrorKind;
use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::Publication;
use dapr_pluggable_testbed::{Proxy, Redis, Subscriber, eventually, text, within};
use tokio_util::sync::CancellationToken;

use super::{eventually_unacknowledged, open, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_a_restart_of_redis() {
    let Some(mut redis) = Redis::builder()
        .append_only()
        .start("everything_acknowledged_survives_a_restart")
        .await
    else {
        return;
    };
    let quick = [("processingTimeout", "1s"), ("redeliverInterval", "100ms")];
    let pubsub = open(&redis, &quick).await;
    let (next, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (pubsub, next, stop) = (Arc::clone(&pubsub), Arc::clone(&next), stop.clone());
            tokio::spawn(async move {
                let (mut acknowledged, mut failed) = (Vec::new(), 0);
                while !stop.is_cancelled() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    match pubsub
                        .publish(Publication::new("t", number.to_string()))
                        .await
                    {
                        Ok(()) => acknowledged.push(number),
                        Err(error) => {
                            assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
                            failed += 1;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
                (acknowledged, failed)
            })
        })
        .collect();
    let mut subscriber = Subscriber::start(&pubsub, "t", 16);
    let mut accepted = BTreeSet::new();
    for _ in 0..200 {
        accepted.insert(subscriber.accept().await.parse::<usize>().unwrap());
    }
    // Some are in hand when it goes.
    let held = [subscriber.next().await, subscriber.next().await];
    redis.kill().await;
    for delivered in &held {
        subscriber.answer(delivered, Ack::Accepted);
        accepted.insert(text(delivered).parse().unwrap());
    }
    eventually("publishing fails", async || {
        pubsub
            .publish(Publication::new("other", "x"))
            .await
            .is_err()
    })
    .await;
    redis.start_again().await;
    let back = Instant::now();
    publish_again(&pubsub).await;
    let published_again = back.elapsed();
    // New ones are among what comes now.
    let known = next.load(Ordering::Relaxed);
    loop {
        let number = subscriber.accept().await.parse().unwrap();
        accepted.insert(number);
        if number >= known {
            break;
        }
    }
    let delivered_again = back.elapsed();
    assert!(
        published_again < Duration::from_secs(2),
        "{published_again:?}"
    );
    assert!(
        delivered_again < Duration::from_secs(2),
        "{delivered_again:?}"
    );
    stop.cancel();
    let mut acknowledged = BTreeSet::new();
    for publisher in publishers {
        let (numbers, failed) = publisher.await.unwrap();
        assert!(failed > 0, "it did not notice");
        acknowledged.extend(numbers);
    }
    while !acknowledged.is_subset(&accepted) {
        accepted.insert(subscriber.accept().await.parse().unwrap());
    }
    // What was answered while Redis was away is acknowledged, too.
    eventually_drained(&mut subscriber, &redis).await;
}

async fn publish_again(pubsub: &Arc<dyn dapr_pluggable::pubsub::PubSub>) {
    eventually("publishing works again", async || {
        pubsub.publish(Publication::new("other", "x")).await.is_ok()
    })
    .await;
}

/// Accepts what still comes, until nothing is unacknowledged.
async fn eventually_drained(subscriber: &mut Subscriber, redis: &Redis) {
    let drained = async {
        while tokio::time::timeout(Duration::from_millis(1500), subscriber.accept())
            .await
            .is_ok()
        {}
    };
    within("the last messages", drained).await;
    eventually_unacknowledged(redis, "t", 0).await;
}

#[tokio::test]
async fn a_subscription_begins_when_redis_is_there_and_ends_when_it_is_not() {
    let Some(mut redis) = Redis::start("a_subscription_begins_when_redis_is_there").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    redis.kill().await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    redis.start_again().await;
    publish_again(&pubsub).await;
    publish(&pubsub, "t", "x").await;
    let held = subscriber.next().await;
    assert_eq!(text(&held), "x");
    redis.kill().await;
    let begun = Instant::now();
    subscriber.stop().await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn half_a_connection_is_found_out_and_replaced() {
    let Some(redis) = Redis::start("half_a_connection_is_found_out").await else {
        return;
    };
    let mut proxy = Proxy::start(&redis.host()).await;
    let host = proxy.host();
    let quick = [
        ("redisHost", host.as_str()),
        ("readTimeout", "1s"),
        ("dialTimeout", "1s"),
        ("processingTimeout", "1s"),
        ("redeliverInterval", "100ms"),
    ];
    let pubsub = open(&redis, &quick).await;
    let mut subscriber = Subscriber::start(&pubsub, "t", 8);
    publish(&pubsub, "t", "before").await;
    assert_eq!(subscriber.accept().await, "before");
    proxy.stall().await;
    let begun = Instant::now();
    let error = pubsub.publish(Publication::new("t", "lost")).await;
    assert_eq!(error.unwrap_err().kind(), &ErrorKind::Unavailable);
    // Without the setting it would be three seconds.
    assert!(
        begun.elapsed() < Duration::from_millis(2500),
        "{:?}",
        begun.elapsed()
    );
    // What is there meanwhile is not lost.
    let _: String = redis
        .command(&["XADD", "t", "*", "data", "meanwhile"])
        .await;
    proxy.mend().await;
    publish_again(&pubsub).await;
    while subscriber.accept().await != "meanwhile" {}
    subscriber.stop().await.unwrap();
}
