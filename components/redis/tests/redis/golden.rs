//! What Dapr's own component was asked, what it answered, and what it left: the same requests, each on what Dapr's own left
//! before it, have the same answers and leave the same. So the two may take turns at one keyspace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dapr_pluggable::state::{
    Concurrency, Consistency, DeleteRequest, Entry, GetRequest, Operation, Parallelism, SetRequest,
    StateStore,
};
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::Redis;
use serde_json::{Value, json};

use crate::state::{metadata, transact, try_open};

const RECORDED: &str = include_str!("../golden/state.json");

/// Where ours does otherwise, and what: the case, the step, the answer, and what is then at rest.
const DIFFERENCES: &[(&str, usize, &str, Left)] = {
    const MISMATCH: &str = "etag_mismatch";
    &[
        // What is not written for what is there is a conflict for the application, not a failure of the store.
        ("a first write", 2, MISMATCH, Left::AsRecorded),
        ("a first write", 3, MISMATCH, Left::AsRecorded),
        ("a first write", 4, MISMATCH, Left::AsRecorded),
        (
            "a first write over a value without its mark",
            2,
            MISMATCH,
            Left::AsRecorded,
        ),
        ("a hash that is not whole", 24, MISMATCH, Left::AsRecorded),
        ("a hash that is not whole", 36, MISMATCH, Left::AsRecorded),
        // A delete with the etag of a value that is gone comes too late.
        ("a delete with an etag", 7, MISMATCH, Left::AsRecorded),
        // A write that fails has done nothing.
        ("a time to live", 16, "other", Left::AsBefore),
        ("a hash that is not whole", 16, "other", Left::AsBefore),
        ("a hash that is not whole", 30, "other", Left::AsBefore),
        ("a hash that is not whole", 40, "other", Left::AsBefore),
        // A transaction happens as a whole, or not.
        ("a transaction", 3, MISMATCH, Left::AsBefore),
        (
            "a transaction with a wrong etag in the middle",
            1,
            MISMATCH,
            Left::AsBefore,
        ),
        (
            "a transaction with a wrong etag in the middle",
            2,
            MISMATCH,
            Left::AsBefore,
        ),
        // First writes are such in a transaction, too.
        (
            "a transaction of first writes",
            0,
            "ok",
            Left::Marked("app||a"),
        ),
        (
            "a transaction of first writes",
            1,
            "ok",
            Left::Marked("app||a"),
        ),
        (
            "a transaction of first writes",
            3,
            MISMATCH,
            Left::AsRecorded,
        ),
        (
            "a transaction of first writes",
            4,
            MISMATCH,
            Left::AsRecorded,
        ),
    ]
};

/// What is at rest after a step.
#[derive(Clone, Copy, Debug)]
enum Left {
    AsRecorded,
    AsBefore,
    /// As recorded, and a key has the mark of a first-write.
    Marked(&'static str),
}

#[tokio::test]
async fn dapr_and_ours_take_turns_at_one_keyspace() {
    let Some(redis) = Redis::start("dapr_and_ours_take_turns_at_one_keyspace").await else {
        return;
    };
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let mut different: BTreeSet<(&str, usize)> = BTreeSet::new();
    for case in recorded["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let settings = strings(&case["settings"]);
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let store = try_open(&metadata(&redis, &settings)).await.unwrap();
        let mut before = json!({});
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let what = format!("step {number} of {name:?}");
            let op = step["op"].as_str().unwrap();
            let names_unknown_options = ["concurrency", "consistency"]
                .iter()
                .any(|option| step[*option] == "other");
            // Requests have no such options here.
            if op != "redis" && !names_unknown_options {
                restore(&redis, &before).await;
                let answer = run(&store, op, step).await;
                let difference = DIFFERENCES
                    .iter()
                    .find(|(case, step, ..)| (*case, *step) == (name, number));
                let (expected, left) = match difference {
                    Some((_, _, answer, left)) => {
                        different.insert((name, number));
                        ((*answer).to_owned(), *left)
                    }
                    None => (simple(&step["answer"]), Left::AsRecorded),
                };
                assert_eq!(answer, expected, "{what}");
                let mut expected = match left {
                    Left::AsBefore => before.clone(),
                    Left::AsRecorded | Left::Marked(_) => step["at_rest"].clone(),
                };
                if let Left::Marked(key) = left {
                    expected[key]["fields"]["first-write"] = json!("0");
                }
                assert_at_rest(&redis, &expected, &what).await;
            }
            before = step["at_rest"].clone();
        }
    }
    assert_eq!(different.len(), DIFFERENCES.len(), "{different:?}");
}

/// Does what a step asks for and tells the answer as [`simple`] does.
async fn run(store: &Arc<dyn StateStore>, op: &str, step: &Value) -> String {
    let items = || step["items"].as_array().unwrap().iter();
    let parallelism = Parallelism::default();
    let done = match op {
        "get" => {
            return match store.get(get(step)).await {
                Ok(entry) => entry_text(entry),
                Err(error) => kind(error.kind()).to_owned(),
            };
        }
        "bulk_get" => {
            let requests = items().map(get).collect();
            let answers = store.bulk_get(requests, parallelism).await.unwrap();
            let texts = answers.into_iter().map(|answer| match answer.outcome {
                Ok(entry) => format!("{} {}", answer.key, entry_text(entry)),
                Err(error) => format!("{} {}", answer.key, kind(error.kind())),
            });
            return texts.collect::<Vec<String>>().join(", ");
        }
        "set" => store.set(set(step)).await,
        "delete" => store.delete(delete(step)).await,
        "bulk_set" => {
            store
                .bulk_set(items().map(set).collect(), parallelism)
                .await
        }
        "bulk_delete" => {
            let requests = items().map(delete).collect();
            store.bulk_delete(requests, parallelism).await
        }
        "transact" => {
            let operations = items().map(|item| match item["op"].as_str().unwrap() {
                "set" => Operation::Set(set(item)),
                _ => Operation::Delete(delete(item)),
            });
            transact(store, operations.collect()).await
        }
        other => panic!("an unknown step {other}"),
    };
    match done {
        Ok(()) => "ok".to_owned(),
        Err(error) => kind(error.kind()).to_owned(),
    }
}

fn kind(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::EtagMismatch => "etag_mismatch",
        ErrorKind::EtagInvalid => "etag_invalid",
        _ => "other",
    }
}

/// A recorded answer as one line.
fn simple(answer: &Value) -> String {
    if let Some(error) = answer["error"].as_str() {
        return error.to_owned();
    }
    if let Some(entries) = answer["entries"].as_array() {
        let texts = entries.iter().map(|item| {
            let entry = match item["text"].is_string() {
                true => "other".to_owned(),
                false => recorded_entry(&item["entry"]),
            };
            format!("{} {entry}", item["key"].as_str().unwrap())
        });
        return texts.collect::<Vec<String>>().join(", ");
    }
    match answer.get("entry") {
        Some(entry) => recorded_entry(entry),
        None => "ok".to_owned(),
    }
}

fn recorded_entry(entry: &Value) -> String {
    match entry {
        Value::Null => "none".to_owned(),
        entry => format!("{:?} {:?}", bytes(&entry["value"]), entry["etag"].as_str()),
    }
}

fn entry_text(entry: Option<Entry>) -> String {
    match entry {
        None => "none".to_owned(),
        Some(entry) => {
            let etag = entry.etag.as_ref().map(|etag| etag.as_str());
            format!("{:?} {etag:?}", entry.value.to_vec())
        }
    }
}

fn get(step: &Value) -> GetRequest {
    let mut request = GetRequest::new(step["key"].as_str().unwrap());
    request.metadata = options(step);
    request
}

fn set(step: &Value) -> SetRequest {
    let mut request = SetRequest::new(step["key"].as_str().unwrap(), bytes(&step["value"]));
    request.metadata = options(step);
    request.etag = step["etag"].as_str().map(Into::into);
    request.concurrency = concurrency(step);
    if step["consistency"] == "strong" {
        request.consistency = Consistency::Strong;
    }
    request
}

fn delete(step: &Value) -> DeleteRequest {
    let mut request = DeleteRequest::new(step["key"].as_str().unwrap());
    request.metadata = options(step);
    request.etag = step["etag"].as_str().map(Into::into);
    request.concurrency = concurrency(step);
    request
}

fn concurrency(step: &Value) -> Concurrency {
    match step["concurrency"].as_str() {
        Some("first-write") => Concurrency::FirstWrite,
        Some("last-write") => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    }
}

fn options(step: &Value) -> Metadata {
    let mut metadata = Metadata::new();
    for (key, value) in strings(&step["metadata"]) {
        metadata.insert(key, value);
    }
    metadata
}

fn strings(object: &Value) -> BTreeMap<String, String> {
    let members = object.as_object().into_iter().flatten();
    members
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// A text, or bytes in base64.
fn bytes(value: &Value) -> Vec<u8> {
    match value["base64"].as_str() {
        Some(base64) => STANDARD.decode(base64).unwrap(),
        None => value.as_str().unwrap().into(),
    }
}

/// Puts into the server what was recorded, and nothing else.
async fn restore(redis: &Redis, at_rest: &Value) {
    let _: redis::Value = redis.command(&["FLUSHALL"]).await;
    for (key, kept) in at_rest.as_object().unwrap() {
        let words: Vec<Vec<u8>> = match kept["type"].as_str() {
            None => continue,
            Some("hash") => {
                let fields = kept["fields"].as_object().unwrap().iter();
                let fields = fields.flat_map(|(name, value)| [name.clone().into(), bytes(value)]);
                [b"HSET".to_vec(), key.clone().into()]
                    .into_iter()
                    .chain(fields)
                    .collect()
            }
            Some("string") => vec![b"SET".to_vec(), key.clone().into(), bytes(&kept["value"])],
            Some("list") => {
                let items = kept["items"].as_array().unwrap().iter().map(bytes);
                [b"RPUSH".to_vec(), key.clone().into()]
                    .into_iter()
                    .chain(items)
                    .collect()
            }
            Some(other) => panic!("an unknown type {other}"),
        };
        let _: redis::Value = redis.command(&words).await;
        if let Some(ttl) = kept["ttl"].as_i64() {
            let _: i64 = redis.command(&["EXPIRE", key, &ttl.to_string()]).await;
        }
    }
}

async fn assert_at_rest(redis: &Redis, expected: &Value, what: &str) {
    let mut there = 0;
    for (key, kept) in expected.as_object().unwrap() {
        let kind: String = redis.command(&["TYPE", key]).await;
        let Some(recorded) = kept["type"].as_str() else {
            assert_eq!(kind, "none", "{what}: {key}");
            continue;
        };
        assert_eq!(kind, recorded, "{what}: {key}");
        match recorded {
            "hash" => {
                let fields: BTreeMap<String, Vec<u8>> = redis.command(&["HGETALL", key]).await;
                let recorded = kept["fields"].as_object().unwrap().iter();
                let recorded = recorded.map(|(name, value)| (name.clone(), bytes(value)));
                assert_eq!(fields, recorded.collect(), "{what}: {key}");
            }
            "string" => {
                let value: Vec<u8> = redis.command(&["GET", key]).await;
                assert_eq!(value, bytes(&kept["value"]), "{what}: {key}");
            }
            _ => {
                let items: Vec<Vec<u8>> = redis.command(&["LRANGE", key, "0", "-1"]).await;
                let recorded = kept["items"].as_array().unwrap().iter().map(bytes);
                assert_eq!(items, recorded.collect::<Vec<_>>(), "{what}: {key}");
            }
        }
        let ttl: i64 = redis.command(&["TTL", key]).await;
        match kept["ttl"].as_i64() {
            None => assert_eq!(ttl, -1, "{what}: {key}"),
            // Some of it has passed.
            Some(recorded) => assert!(
                (recorded - 9..=recorded + 1).contains(&ttl),
                "{what}: {key}: {ttl}"
            ),
        }
        there += 1;
    }
    let size: i64 = redis.command(&["DBSIZE"]).await;
    assert_eq!(size, there, "{what}");
}
