//! State in a cluster.

use std::sync::Arc;

use dapr_pluggable::state::{GetRequest, Operation, Parallelism, SetRequest, StateStore};
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::RedisCluster;
use redis::Value;

use super::{delete, get, set, transact, try_open};

async fn open(cluster: &RedisCluster) -> Arc<dyn StateStore> {
    let hosts = cluster.hosts();
    let metadata = Metadata::from([("redisHost", hosts.as_str()), ("redisType", "cluster")]);
    try_open(&metadata).await.unwrap()
}

#[tokio::test]
async fn a_transaction_is_of_one_slot() {
    let Some(cluster) = RedisCluster::start("a_transaction_is_of_one_slot").await else {
        return;
    };
    let store = open(&cluster).await;
    let sets = |keys: &[&str]| {
        let sets = keys.iter().map(|key| SetRequest::new(*key, "value"));
        sets.map(Operation::Set).collect::<Vec<_>>()
    };
    // On different nodes, and in different slots of one node.
    for keys in [["a", "b", "c"], ["{a}1", "{a}2", "b"]] {
        let error = transact(&store, sets(&keys)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.message().contains("hash tag"), "{error}");
        assert!(
            error.message().contains(&format!("{:?}", keys[0])),
            "{error}"
        );
        for key in keys {
            assert_eq!(get(&store, key).await, None);
        }
    }
    transact(&store, sets(&["{a}1", "{a}2", "a"]))
        .await
        .unwrap();
    let mut operations = sets(&["{a}1", "{a}2"]);
    operations.push(Operation::Set(set("a", "new", Some("9"))));
    let error = transact(&store, operations).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagMismatch);
    assert_eq!(get(&store, "{a}1").await.unwrap().etag, Some("1".into()));
    assert!(store.queryable().is_none());
}

#[tokio::test]
async fn bulk_calls_reach_every_node() {
    let Some(cluster) = RedisCluster::start("bulk_calls_reach_every_node").await else {
        return;
    };
    let store = open(&cluster).await;
    let each = Parallelism::default();
    let keys: Vec<String> = (0..1000).map(|number| format!("key-{number}")).collect();
    for node in cluster.nodes() {
        let _: Value = node.command(&["SCRIPT", "FLUSH"]).await;
    }
    let sets = keys.iter().map(|key| SetRequest::new(key, key.clone()));
    store.bulk_set(sets.collect(), each).await.unwrap();
    for node in cluster.nodes() {
        let count: i64 = node.command(&["DBSIZE"]).await;
        assert!((200..500).contains(&count), "{count}");
    }
    let gets = keys.iter().map(GetRequest::new).collect();
    for (key, found) in keys.iter().zip(store.bulk_get(gets, each).await.unwrap()) {
        assert_eq!(found.key, *key);
        assert_eq!(found.outcome.unwrap().unwrap().value, *key);
    }
    let mut deletes: Vec<_> = keys.iter().map(|key| delete(key, Some("1"))).collect();
    deletes[7] = delete(&keys[7], Some("2"));
    let error = store.bulk_delete(deletes, each).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagMismatch);
    assert!(error.message().contains(&keys[7]), "{error}");
    let mut left = 0;
    for node in cluster.nodes() {
        left += node.command::<i64>(&["DBSIZE"]).await;
    }
    assert_eq!(left, 1);
}
