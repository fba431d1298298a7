//! What Dapr's own component writes and reads: ours does the same, and each goes on where the other stopped.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dapr_pluggable::Metadata;
use dapr_pluggable::delivery::Ack;
use dapr_pluggable::pubsub::Publication;
use dapr_pluggable_testbed::{Redis, Subscriber, eventually_equal, text};
use serde_json::{Value, json};

use super::{eventually_unacknowledged, open};

type Entry = (String, Vec<(Vec<u8>, Vec<u8>)>);

fn recorded(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../golden/pubsub.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

/// A text that may be bytes.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        value => STANDARD.decode(value["base64"].as_str().unwrap()).unwrap(),
    }
}

fn strings(value: &Value) -> Vec<(&str, &str)> {
    let object = value.as_object().into_iter().flatten();
    object
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_is_published_is_byte_for_byte_what_daprs_own_writes() {
    let Some(redis) = Redis::start("what_is_published_is_byte_for_byte").await else {
        return;
    };
    for case in recorded("publish") {
        let name = case["name"].as_str().unwrap();
        let () = redis.command(&["FLUSHALL"]).await;
        let pubsub = open(&redis, &strings(&case["settings"])).await;
        let request = &case["request"];
        let topic = request["topic"].as_str().unwrap();
        let mut publication = Publication::new(topic, bytes(&request["data"]));
        publication.metadata = strings(&request["metadata"]).into_iter().collect();
        pubsub.publish(publication).await.unwrap();
        let entries: Vec<Entry> = redis.command(&["XRANGE", topic, "-", "+"]).await;
        let fields: BTreeMap<_, _> = entries[0].1.iter().cloned().collect();
        let expected = case["fields"].as_object().unwrap().iter();
        let mut expected: BTreeMap<_, _> = expected
            .map(|(name, value)| (name.clone().into_bytes(), bytes(value)))
            .collect();
        // Through a socket there is no difference between none and empty, and Dapr's own then writes none.
        if name == "empty metadata" {
            expected.remove(&b"metadata"[..]);
        }
        assert_eq!((entries.len(), fields), (1, expected), "{name}");
    }
}

#[tokio::test]
async fn streams_are_trimmed_as_by_daprs_own() {
    let Some(redis) = Redis::start("streams_are_trimmed_as_by_daprs_own").await else {
        return;
    };
    for case in recorded("trim") {
        let () = redis.command(&["FLUSHALL"]).await;
        let before = case["length_before"].to_string();
        let fill = "for n = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], n .. '-1', 'data', 'x') end";
        let () = redis.command(&["EVAL", fill, "1", "t", &before]).await;
        let pubsub = open(&redis, &strings(&case["settings"])).await;
        pubsub.publish(Publication::new("t", "x")).await.unwrap();
        let length: i64 = redis.command(&["XLEN", "t"]).await;
        assert_eq!(json!(length), case["length"], "{}", case["settings"]);
    }
}

#[tokio::test]
async fn an_application_gets_of_an_entry_what_it_gets_by_daprs_own() {
    let Some(redis) = Redis::start("an_application_gets_of_an_entry").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "orders", 1);
    for case in recorded("receive") {
        let add = ["XADD", "orders", "*"].map(|word| word.as_bytes().to_vec());
        let entry = case["entry"].as_array().unwrap().iter().map(bytes);
        let add: Vec<Vec<u8>> = add.into_iter().chain(entry).collect();
        let _: String = redis.command(&add).await;
        let delivered = subscriber.next().await;
        subscriber.answer(&delivered, Ack::Accepted);
        let (message, expected) = (delivered.message, &case["received"]);
        assert_eq!(message.topic, expected["topic"].as_str().unwrap());
        assert_eq!(message.data, bytes(&expected["data"]), "{}", case["name"]);
        let metadata: Metadata = strings(&expected["metadata"]).into_iter().collect();
        assert_eq!(message.metadata, metadata, "{}", case["name"]);
    }
}

/// Runs a command of Dapr's own, without a wait.
async fn run(redis: &Redis, command: &Value) -> redis::Value {
    let words: Vec<&str> = command
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let blocks = words.iter().position(|word| *word == "block");
    let words: Vec<&str> = match blocks {
        Some(at) => [&words[..at], &words[at + 2..]].concat(),
        None => words,
    };
    redis.command(&words).await
}

#[tokio::test]
async fn each_takes_over_what_the_other_has_left() {
    let Some(redis) = Redis::start("each_takes_over_what_the_other_has_left").await else {
        return;
    };
    for (id, data) in [("1-1", "one"), ("2-1", "two")] {
        let _: String = redis.command(&["XADD", "orders", id, "data", data]).await;
    }
    // Dapr's own begins the group, gets both and ends without an answer to either.
    let cases = recorded("group");
    let ended = "the subscription ends with messages unanswered";
    let case = cases.iter().find(|case| case["name"] == ended).unwrap();
    for command in &case["steps"][0]["commands"].as_array().unwrap()[..3] {
        run(&redis, command).await;
    }
    eventually_unacknowledged(&redis, "orders", 2).await;
    let idle = [
        "XCLAIM", "orders", "app", "app", "0", "1-1", "2-1", "IDLE", "60000", "JUSTID",
    ];
    let _: redis::Value = redis.command(&idle).await;

    let pubsub = open(&redis, &[]).await;
    let mut subscriber = Subscriber::start(&pubsub, "orders", 8);
    let first = subscriber.next().await;
    subscriber.answer(&first, Ack::Accepted);
    assert_eq!((&*text(&first), &*subscriber.peek().await), ("one", "two"));
    eventually_unacknowledged(&redis, "orders", 1).await;
    subscriber.stop().await.unwrap();

    // And Dapr's own finds it idle for long enough, under the one name that consumers have.
    let pending = ["XPENDING", "orders", "app", "-", "+", "100"];
    let left: Vec<(String, String, u64, u64)> = redis.command(&pending).await;
    let [(id, consumer, idle, deliveries)] = &left[..] else {
        unreachable!("{left:?}")
    };
    assert_eq!(
        (id.as_str(), consumer.as_str(), *deliveries),
        ("2-1", "app", 2)
    );
    assert!(*idle >= 60_000, "{idle}");
    let claim = ["XCLAIM", "orders", "app", "app", "60000", "2-1"];
    let claimed: Vec<Entry> = redis.command(&claim).await;
    assert_eq!(claimed[0].1, [(b"data".to_vec(), b"two".to_vec())]);
    run(&redis, &json!(["xack", "orders", "app", "2-1"])).await;

    // What is new comes after what Dapr's own had read.
    let _: String = redis
        .command(&["XADD", "orders", "3-1", "data", "three"])
        .await;
    let mut subscriber = Subscriber::start(&pubsub, "orders", 8);
    assert_eq!(subscriber.accept().await, "three");
    eventually_equal("the consumers", 1, async || {
        let consumers = ["XINFO", "CONSUMERS", "orders", "app"];
        redis.command::<Vec<redis::Value>>(&consumers).await.len()
    })
    .await;
}
