//! Several changes as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dapr_pluggable::state::{GetRequest, Operation, Parallelism, SetRequest};
use dapr_pluggable::{Error, ErrorKind};
use dapr_pluggable_testbed::Redis;
use redis::Value;

use super::{delete, fields, first, get, open, set, transact};

fn sets(request: SetRequest) -> Operation {
    Operation::Set(request)
}

fn deletes(key: &str, etag: Option<&str>) -> Operation {
    Operation::Delete(delete(key, etag))
}

fn mismatch(outcome: dapr_pluggable::Result<()>) -> Error {
    let error = outcome.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EtagMismatch, "{error}");
    error
}

#[tokio::test]
async fn a_mismatch_changes_nothing_and_names_its_key() {
    let Some(redis) = Redis::start("a_mismatch_changes_nothing_and_names_its_key").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    for key in ["kept", "guarded"] {
        store.set(SetRequest::new(key, "0")).await.unwrap();
    }
    let _: Value = redis.command(&["SET", "plain", "0"]).await;
    store.set(first(set("marked", "0", None))).await.unwrap();
    for condition in [
        sets(set("guarded", "1", Some("9"))),
        deletes("guarded", Some("9")),
        deletes("missing", Some("1")),
        sets(set("marked", "1", None)),
        sets(first(set("marked", "1", None))),
    ] {
        let key = condition.key().to_owned();
        let others = || {
            vec![
                sets(set("new", "1", None)),
                deletes("kept", None),
                sets(set("plain", "1", None)),
            ]
        };
        for place in 0..=3 {
            let mut operations = others();
            operations.insert(place, condition.clone());
            let error = mismatch(transact(&store, operations).await);
            assert!(error.message().contains(&key), "{error}");
            assert_eq!(get(&store, "new").await, None);
            assert_eq!(get(&store, "kept").await.unwrap().etag, Some("1".into()));
            let plain: String = redis.command(&["GET", "plain"]).await;
            assert_eq!(plain, "0");
        }
    }
}

/// A key that comes twice has for the second what the first leaves.
#[tokio::test]
async fn conditions_are_those_of_a_sequence() {
    let Some(redis) = Redis::start("conditions_are_those_of_a_sequence").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let good = [
        vec![sets(set("a", "1", None)), sets(set("a", "2", Some("1")))],
        vec![deletes("a", Some("2")), sets(first(set("a", "3", None)))],
        vec![sets(set("a", "4", Some("1"))), deletes("a", Some("2"))],
        vec![
            sets(set("a", "5", None)),
            deletes("a", None),
            deletes("a", None),
        ],
    ];
    let left = [Some("2"), Some("3"), None, None];
    for (operations, left) in good.into_iter().zip(left) {
        transact(&store, operations).await.unwrap();
        let value = get(&store, "a").await.map(|entry| entry.value);
        assert_eq!(value.as_deref(), left.map(str::as_bytes));
    }
    for operations in [
        vec![sets(set("a", "1", None)), sets(set("a", "2", Some("2")))],
        vec![sets(set("a", "1", None)), deletes("a", Some("2"))],
        vec![
            sets(first(set("a", "1", None))),
            sets(first(set("a", "2", None))),
        ],
        vec![sets(first(set("a", "1", None))), sets(set("a", "2", None))],
        vec![
            sets(set("a", "1", None)),
            deletes("a", Some("1")),
            deletes("a", Some("1")),
        ],
    ] {
        mismatch(transact(&store, operations).await);
        assert_eq!(get(&store, "a").await, None);
    }
    let mark = vec![
        sets(first(set("a", "1", None))),
        sets(set("a", "2", Some("1"))),
    ];
    transact(&store, mark).await.unwrap();
    let expected = ["data", "2", "first-write", "0", "version", "2"];
    assert_eq!(fields(&redis, "a").await, expected);
}

#[tokio::test]
async fn a_reader_sees_all_or_nothing() {
    let Some(redis) = Redis::start("a_reader_sees_all_or_nothing").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            for number in 0..300 {
                let keys = ["a", "b", "c"];
                let sets = keys.map(|key| sets(SetRequest::new(key, number.to_string())));
                transact(&store, sets.to_vec()).await.unwrap();
            }
            done.store(true, Ordering::Relaxed);
        }
    });
    // One command reads all three, so that nothing comes between.
    let script = "local v = {} for i, k in ipairs(KEYS) do v[i] = redis.call('HGET', k, 'data') or '' end return v";
    while !done.load(Ordering::Relaxed) {
        let read = ["EVAL", script, "3", "a", "b", "c"];
        let values: [String; 3] = redis.command(&read).await;
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_transaction_may_be_large() {
    let Some(redis) = Redis::start("a_transaction_may_be_large").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let count = 10_000;
    let keys: Vec<String> = (0..count).map(|number| format!("key-{number}")).collect();
    let operations = keys
        .iter()
        .map(|key| sets(SetRequest::new(key, key.clone())))
        .collect();
    transact(&store, operations).await.unwrap();
    let reads = keys.iter().map(GetRequest::new).collect();
    let answers = store.bulk_get(reads, Parallelism::default()).await.unwrap();
    for answer in answers {
        let entry = answer.outcome.unwrap().unwrap();
        assert_eq!(entry.value, answer.key);
    }
}
