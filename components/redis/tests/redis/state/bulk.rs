//! Many keys in one call, replicas, and what the server forgets.

use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Consistency, GetRequest, Parallelism, SetRequest};
use dapr_pluggable_testbed::{Proxy, Redis};
use futures::future::join_all;
use redis::Value;
use tokio::time::Instant;

use super::{delete, get, metadata, open, set, transact, try_open};

/// How many commands of a name the server has run.
async fn calls(redis: &Redis, command: &str) -> u64 {
    let info: String = redis.command(&["INFO", "commandstats"]).await;
    let prefix = format!("cmdstat_{command}:calls=");
    let calls = info.lines().find_map(|line| line.strip_prefix(&prefix));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn many_keys_are_one_call() {
    let Some(redis) = Redis::start("many_keys_are_one_call").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let keys: Vec<String> = (0..10_000).map(|number| format!("key-{number}")).collect();
    let sets = keys.iter().map(|key| SetRequest::new(key, key.clone()));
    let each = Parallelism::default();
    store.bulk_set(sets.collect(), each).await.unwrap();
    let gets = || keys.iter().map(GetRequest::new).collect();
    let found = store.bulk_get(gets(), each).await.unwrap();
    for (key, found) in keys.iter().zip(found) {
        assert_eq!(found.key, *key);
        assert_eq!(found.outcome.unwrap().unwrap().value, *key);
    }
    let deletes = keys.iter().map(|key| delete(key, Some("1")));
    store.bulk_delete(deletes.collect(), each).await.unwrap();
    let left: i64 = redis.command(&["DBSIZE"]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn each_key_has_an_outcome_of_its_own() {
    let Some(redis) = Redis::start("each_key_has_an_outcome_of_its_own").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let each = Parallelism::default();
    let _: Value = redis.command(&["RPUSH", "list", "item"]).await;
    store.set(SetRequest::new("good", "0")).await.unwrap();
    let gets = ["good", "", "list", "none"].map(GetRequest::new);
    let found = store.bulk_get(gets.to_vec(), each).await.unwrap();
    let found: Vec<Option<bool>> = found
        .into_iter()
        .map(|found| found.outcome.ok().map(|entry| entry.is_some()))
        .collect();
    assert_eq!(found, [Some(true), None, None, Some(false)]);

    let sets = vec![
        set("good", "1", Some("1")),
        set("bad", "1", Some("one")),
        set("new", "1", None),
        set("good", "2", Some("1")),
    ];
    let error = store.bulk_set(sets, each).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagInvalid);
    assert!(error.message().contains("\"bad\""), "{error}");
    assert!(error.message().contains("\"good\""), "{error}");
    assert_eq!(get(&store, "good").await.unwrap().value, "1");
    assert_eq!(get(&store, "new").await.unwrap().value, "1");

    let deletes = vec![
        delete("good", Some("1")),
        delete("new", Some("1")),
        delete("missing", None),
    ];
    let error = store.bulk_delete(deletes, each).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagMismatch);
    assert!(get(&store, "good").await.is_some());
    assert!(get(&store, "new").await.is_none());
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_taught_again() {
    let Some(redis) = Redis::start("scripts_that_the_server_forgot_are_taught_again").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let each = Parallelism::default();
    for _ in 0..2 {
        for forget in [["SCRIPT", "FLUSH"].as_slice(), &["FLUSHALL"]] {
            let _: Value = redis.command(forget).await;
        }
        let many = |from: u32| {
            let keys = (from..from + 100).map(|number| format!("key-{number}"));
            keys.map(|key| SetRequest::new(key, "value"))
        };
        store.bulk_set(many(0).collect(), each).await.unwrap();
        for written in join_all(many(100).map(|request| store.set(request))).await {
            written.unwrap();
        }
        let operations = many(200).map(dapr_pluggable::state::Operation::Set);
        transact(&store, operations.collect()).await.unwrap();
        store.delete(delete("key-0", Some("1"))).await.unwrap();
        let left: i64 = redis.command(&["DBSIZE"]).await;
        assert_eq!(left, 299);
    }
}

/// A user who may run scripts needs no leave to manage them.
#[tokio::test]
async fn scripts_are_taught_by_running_them() {
    let test = "scripts_are_taught_by_running_them";
    let Some(redis) = Redis::builder().user("app", "sesame").start(test).await else {
        return;
    };
    let _: Value = redis.command(&["ACL", "SETUSER", "app", "-script"]).await;
    let user = [("redisUsername", "app"), ("redisPassword", "sesame")];
    let store = open(&redis, &user).await;
    store.set(SetRequest::new("key", "1")).await.unwrap();
    let each = Parallelism::default();
    let deletes = vec![delete("key", Some("1")), delete("other", None)];
    store.bulk_delete(deletes, each).await.unwrap();
    assert!(get(&store, "key").await.is_none());
}

#[tokio::test]
async fn strong_writes_wait_for_the_replicas() {
    let test = "strong_writes_wait_for_the_replicas";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let mut replica = Redis::builder()
        .replica_of(&redis)
        .start(test)
        .await
        .unwrap();
    let store = open(&redis, &[("writeTimeout", "500ms")]).await;
    let strong = |key: &str| {
        let mut request = SetRequest::new(key, "value");
        request.consistency = Consistency::Strong;
        request
    };
    let _: Value = redis.command(&["SCRIPT", "FLUSH"]).await;
    store.set(SetRequest::new("weak", "value")).await.unwrap();
    assert_eq!(calls(&redis, "wait").await, 0);
    store.set(strong("alone")).await.unwrap();
    let there: i64 = replica.command(&["EXISTS", "alone"]).await;
    assert_eq!(there, 1);
    let each = Parallelism::default();
    let requests = (0..10).map(|number| strong(&format!("bulk-{number}")));
    store.bulk_set(requests.collect(), each).await.unwrap();
    let there: i64 = replica.command(&["EXISTS", "bulk-9"]).await;
    assert_eq!(there, 1);
    let operations = vec![dapr_pluggable::state::Operation::Set(strong("transacted"))];
    transact(&store, operations).await.unwrap();
    let there: i64 = replica.command(&["EXISTS", "transacted"]).await;
    assert_eq!(there, 1);
    assert!(calls(&redis, "wait").await >= 3);
    // A mismatch is one here, too.
    let mut stale = strong("alone");
    stale.etag = Some("9".into());
    let error = store.set(stale).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagMismatch);

    // Without its replica a write takes longer, and many take hardly longer than one.
    replica.kill().await;
    let writes = (0..64).map(|number| store.set(strong(&number.to_string())));
    for written in join_all(writes).await {
        written.unwrap();
    }
    assert!(get(&store, "63").await.is_some());
}

#[tokio::test]
async fn a_strong_write_behind_others_takes_no_longer_than_it_may() {
    let test = "a_strong_write_behind_others_takes_no_longer_than_it_may";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let _replica = Redis::builder().replica_of(&redis).start(test).await;
    let mut proxy = Proxy::start(&redis.host()).await;
    let mut metadata = metadata(&redis, &[("writeTimeout", "500ms")]);
    metadata.insert("redisHost", proxy.host());
    let store = try_open(&metadata).await.unwrap();
    proxy.stall().await;
    let writes = (0..3_u32).map(|number| {
        let mut request = SetRequest::new(number.to_string(), "value");
        request.consistency = Consistency::Strong;
        let store = &store;
        async move {
            // Each comes while the one before is under way.
            for _ in 0..10 * number {
                tokio::task::yield_now().await;
            }
            let begin = Instant::now();
            let error = store.set(request).await.unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
            begin.elapsed()
        }
    });
    for took in join_all(writes).await {
        // The time for a write, and a second for the replicas.
        assert!(took < Duration::from_millis(2500), "{took:?}");
    }
}
