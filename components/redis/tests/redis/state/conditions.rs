//! What a write and a delete need to find.

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Concurrency, Operation, SetRequest};
use dapr_pluggable_testbed::Redis;
use futures::future::join_all;
use redis::Value;

use super::{delete, fields, first, get, open, set, transact};

/// What is at a key before.
const STATES: [(&str, &[&[&str]]); 6] = [
    ("absent", &[]),
    ("hash", &[&["HSET", "key", "data", "old", "version", "7"]]),
    (
        "marked",
        &[&[
            "HSET",
            "key",
            "data",
            "old",
            "first-write",
            "0",
            "version",
            "7",
        ]],
    ),
    ("string", &[&["SET", "key", "old"]]),
    ("list", &[&["RPUSH", "key", "old"]]),
    ("stream", &[&["XADD", "key", "*", "data", "old"]]),
];

/// For each of the states above what a set leaves: without an etag, as a first-write, with the etag 7, and with the etag 8.
/// `None` is a mismatch that leaves what was there.
const SETS: [[Option<&[&str]>; 4]; 6] = {
    const V1: Option<&[&str]> = Some(&["data", "new", "version", "1"]);
    const V1_MARKED: Option<&[&str]> = Some(&["data", "new", "first-write", "0", "version", "1"]);
    const V8: Option<&[&str]> = Some(&["data", "new", "version", "8"]);
    const V8_MARKED: Option<&[&str]> = Some(&["data", "new", "version", "8", "first-write", "0"]);
    const V8_STILL: Option<&[&str]> = Some(&["data", "new", "first-write", "0", "version", "8"]);
    [
        [V1, V1_MARKED, V1, V1],
        [V8, V8_MARKED, V8, None],
        [None, None, V8_STILL, None],
        [V1, V1_MARKED, V1, V1],
        [V1, V1_MARKED, V1, V1],
        [V1, V1_MARKED, V1, V1],
    ]
};

fn sets() -> [SetRequest; 4] {
    [
        set("key", "new", None),
        first(set("key", "new", None)),
        set("key", "new", Some("007")),
        set("key", "new", Some("8")),
    ]
}

async fn prepare(redis: &Redis, commands: &[&[&str]]) {
    let _: Value = redis.command(&["DEL", "key"]).await;
    for command in commands {
        let _: Value = redis.command(command).await;
    }
}

#[tokio::test]
async fn a_set_does_what_it_does_in_dapr() {
    let Some(redis) = Redis::start("a_set_does_what_it_does_in_dapr").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    for ((state, commands), row) in STATES.iter().zip(SETS) {
        for (number, (request, expected)) in sets().into_iter().zip(row).enumerate() {
            for in_transaction in [false, true] {
                prepare(&redis, commands).await;
                let before: Option<Vec<u8>> = redis.command(&["DUMP", "key"]).await;
                let outcome = if in_transaction {
                    transact(&store, vec![Operation::Set(request.clone())]).await
                } else {
                    store.set(request.clone()).await
                };
                let what = format!("set {number} of {state}, in a transaction: {in_transaction}");
                match expected {
                    Some(expected) => {
                        outcome.expect(&what);
                        assert_eq!(fields(&redis, "key").await, expected, "{what}");
                    }
                    None => {
                        let error = outcome.expect_err(&what);
                        assert_eq!(*error.kind(), ErrorKind::EtagMismatch, "{what}");
                        assert!(
                            error.message().starts_with("failed to set key key"),
                            "{error}"
                        );
                        let after: Option<Vec<u8>> = redis.command(&["DUMP", "key"]).await;
                        assert_eq!(after, before, "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_delete_needs_the_version_of_its_etag() {
    let Some(redis) = Redis::start("a_delete_needs_the_version_of_its_etag").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    for (state, commands) in STATES {
        for (etag, hash_goes) in [(None, true), (Some("7"), true), (Some("8"), false)] {
            let goes = match state {
                "absent" => etag.is_none(),
                "hash" | "marked" => hash_goes,
                _ => true,
            };
            for in_transaction in [false, true] {
                prepare(&redis, commands).await;
                let request = delete("key", etag);
                let outcome = if in_transaction {
                    transact(&store, vec![Operation::Delete(request)]).await
                } else {
                    store.delete(request).await
                };
                let what = format!("{state} with {etag:?}, in a transaction: {in_transaction}");
                assert_eq!(outcome.is_ok(), goes, "{what}");
                if let Err(error) = outcome {
                    assert_eq!(*error.kind(), ErrorKind::EtagMismatch, "{what}");
                }
                let left: i64 = redis.command(&["EXISTS", "key"]).await;
                let stays = !goes && state != "absent";
                assert_eq!(left, i64::from(stays), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn of_two_deletes_with_one_etag_one_wins() {
    let Some(redis) = Redis::start("of_two_deletes_with_one_etag_one_wins").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    store.set(SetRequest::new("key", "value")).await.unwrap();
    let deletes = (0..2).map(|_| store.delete(delete("key", Some("1"))));
    let outcomes = join_all(deletes).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn etags_are_numbers_of_versions() {
    let Some(redis) = Redis::start("etags_are_numbers_of_versions").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    store.set(SetRequest::new("key", "0")).await.unwrap();
    for etag in ["v1", "1.0", " 1", "9223372036854775808"] {
        let error = store.set(set("key", "1", Some(etag))).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::EtagInvalid, "{etag}");
        // A delete compares it as it is.
        let error = store.delete(delete("key", Some(etag))).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::EtagMismatch, "{etag}");
    }
    // Zero stands for no etag, and so does a last-write for whatever it comes with.
    store.set(set("key", "1", Some("0"))).await.unwrap();
    let mut last = set("key", "2", Some("9"));
    last.concurrency = Concurrency::LastWrite;
    store.set(last).await.unwrap();
    assert_eq!(get(&store, "key").await.unwrap().etag, Some("3".into()));
}

#[tokio::test]
async fn of_many_writers_with_one_etag_one_wins() {
    let Some(redis) = Redis::start("of_many_writers_with_one_etag_one_wins").await else {
        return;
    };
    let stores = [open(&redis, &[]).await, open(&redis, &[]).await];
    for round in 1..=20 {
        let etag = (round > 1).then(|| (round - 1).to_string());
        let request = match &etag {
            None => first(set("key", "value", None)),
            Some(etag) => set("key", "value", Some(etag)),
        };
        let writes = (0..64).map(|writer| stores[writer % 2].set(request.clone()));
        let outcomes = join_all(writes).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "round {round}");
        assert_eq!(
            get(&stores[0], "key").await.unwrap().etag,
            Some(round.to_string().as_str().into())
        );
    }
}

/// What is no value is said to be none, and gives way to one or stays as it is.
#[tokio::test]
async fn corrupt_values_are_errors() {
    let Some(redis) = Redis::start("corrupt_values_are_errors").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    for (commands, text) in [
        (
            ["HSET", "key", "data", "old"].as_slice(),
            "required hash field",
        ),
        (&["HSET", "key", "version", "1"], "required hash field"),
        (&["RPUSH", "key", "old"], "WRONGTYPE"),
        (&["XADD", "key", "*", "data", "old"], "WRONGTYPE"),
    ] {
        prepare(&redis, &[commands]).await;
        let error = store
            .get(dapr_pluggable::state::GetRequest::new("key"))
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("\"key\""), "{error}");
        assert!(error.message().contains(text), "{error}");
        store.set(SetRequest::new("key", "new")).await.unwrap();
        assert_eq!(get(&store, "key").await.unwrap().value, "new");
    }
    for write in [
        store.set(SetRequest::new("other", "value")),
        store.set(SetRequest::new("key", "new")),
    ] {
        write.await.unwrap();
    }
    let corrupt = ["HSET", "key", "data", "old", "version", "seven"];
    let _: Value = redis.command(&corrupt).await;
    let change = SetRequest::new("key", "new");
    let alone = store.set(change.clone()).await.unwrap_err();
    let other = Operation::Set(SetRequest::new("other", "new"));
    let operations = vec![other, Operation::Set(change)];
    let together = transact(&store, operations).await.unwrap_err();
    for error in [alone, together] {
        assert_eq!(*error.kind(), ErrorKind::Internal, "{error}");
    }
    assert_eq!(get(&store, "key").await.unwrap().value, "old");
    assert_eq!(get(&store, "other").await.unwrap().value, "value");
}

/// Old versions of Dapr have written strings.
#[tokio::test]
async fn a_plain_string_is_a_value_without_etag() {
    let Some(redis) = Redis::start("a_plain_string_is_a_value_without_etag").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    let _: Value = redis.command(&["SET", "key", "plain"]).await;
    let entry = get(&store, "key").await.unwrap();
    assert_eq!((&entry.value[..], entry.etag), (&b"plain"[..], None));
}
