//! A primary that sentinels watch: who it is changes.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable_testbed::{Redis, RedisSentinel, eventually, free_port};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{FAST, get, open, refusal, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_is_followed_when_it_dies_and_when_it_is_demoted() {
    let test = "the_primary_is_followed";
    let Some(mut pair) = RedisSentinel::start(test).await else {
        return;
    };
    // One of the sentinels is away.
    let hosts = format!("127.0.0.1:{},{}", free_port(), pair.hosts());
    let store = open(&[
        ("redisHost", &hosts),
        ("failover", "true"),
        ("sentinelMasterName", pair.master_name()),
    ])
    .await;
    let stop = CancellationToken::new();
    let load = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), stop.clone());
        async move {
            let mut written = 0_u64;
            while !stop.is_cancelled() {
                let begin = Instant::now();
                match set(&store, "load", "x").await {
                    Ok(()) => written += 1,
                    Err(error) => {
                        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
                        sleep(Duration::from_millis(5)).await;
                    }
                }
                assert!(begin.elapsed() < FAST, "{:?}", begin.elapsed());
            }
            written
        }
    });
    // What has reached the replica stays: later writes may be lost by Redis itself, which replicates behind its answers.
    let [first, second] = pair.nodes();
    replicated(&store, "before", second).await;
    pair.fail_over().await;
    // The old primary goes on until the sentinel makes a replica of it.
    eventually("a write is at the new primary", async || {
        let _ = set(&store, "moved", "x").await;
        has(second, "moved").await
    })
    .await;
    replicated(&store, "between", first).await;

    pair.kill_primary().await;
    eventually("the store works", async || {
        set(&store, "after", "after").await.is_ok()
    })
    .await;
    for key in ["before", "between", "after"] {
        assert_eq!(get(&store, key).await.unwrap().as_deref(), Some(key));
    }
    assert!(has(&pair.nodes()[0], "after").await);
    stop.cancel();
    assert!(load.await.unwrap() > 0);
}

/// Writes a key, and waits until the replica has it.
async fn replicated(
    store: &Arc<dyn dapr_pluggable::state::StateStore>,
    key: &str,
    replica: &Redis,
) {
    eventually("the replica has a key", async || {
        let _ = set(store, key, key).await;
        has(replica, key).await
    })
    .await;
}

async fn has(redis: &Redis, key: &str) -> bool {
    redis.command(&["EXISTS", key]).await
}

#[tokio::test]
async fn a_name_that_sentinels_do_not_know_is_named() {
    let test = "a_name_that_sentinels_do_not_know_is_named";
    let Some(pair) = RedisSentinel::start(test).await else {
        return;
    };
    let host = pair.hosts();
    let error = refusal(&[
        ("redisHost", &host),
        ("failover", "true"),
        ("sentinelMasterName", "other"),
    ])
    .await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    for part in ["sentinelMasterName", "other", &host] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_sentinel_that_is_taken_for_a_server_is_said_without_the_value() {
    let test = "a_sentinel_that_is_taken_for_a_server_is_said_without_the_value";
    let Some(pair) = RedisSentinel::start(test).await else {
        return;
    };
    let store = open(&[("redisHost", &pair.hosts())]).await;
    let error = set(&store, "key", "value of mine").await.unwrap_err();
    assert!(error.message().contains("failover"), "{error}");
    assert!(!error.message().contains("value of mine"), "{error}");
}
