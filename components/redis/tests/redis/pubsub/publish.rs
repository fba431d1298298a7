//! What publishing writes.

use dapr_pluggable::pubsub::{BulkPublication, BulkPublishEntry, Publication};
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::Redis;

use super::{metadata, open, publish, try_open};

type Entry = (String, Vec<Vec<u8>>);

async fn entries(redis: &Redis, topic: &str) -> Vec<Vec<Vec<u8>>> {
    let entries: Vec<Entry> = redis.command(&["XRANGE", topic, "-", "+"]).await;
    entries.into_iter().map(|(_, fields)| fields).collect()
}

#[tokio::test]
async fn an_entry_has_the_data_and_the_metadata_if_there_is_any() {
    let Some(redis) = Redis::start("an_entry_has_the_data_and_the_metadata").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let mut publication = Publication::new("t", &b"\x00\xff'"[..]);
    publication.content_type = Some("text/plain".to_owned());
    pubsub.publish(publication).await.unwrap();
    let mut publication = Publication::new("t", "");
    publication.metadata = Metadata::from([("z", "<1>"), ("a", "é")]);
    pubsub.publish(publication).await.unwrap();
    let plain = vec![b"data".to_vec(), b"\x00\xff'".to_vec()];
    let json = "{\"a\":\"é\",\"z\":\"\\u003c1\\u003e\"}";
    let with_metadata = ["data", "", "metadata", json].map(|text| text.as_bytes().to_vec());
    assert_eq!(entries(&redis, "t").await, [plain, with_metadata.into()]);
}

#[tokio::test]
async fn bulk_is_one_entry_each_and_says_what_failed() {
    let Some(redis) = Redis::start("bulk_is_one_entry_each").await else {
        return;
    };
    let pubsub = open(&redis, &[]).await;
    let bulk = pubsub.bulk_publisher().unwrap();
    let mut second = BulkPublishEntry::new("b", "2");
    second.metadata = Metadata::from([("k", "own")]);
    let mut publication = BulkPublication::new("t", vec![BulkPublishEntry::new("a", "1"), second]);
    publication.metadata = Metadata::from([("k", "shared")]);
    assert_eq!(bulk.bulk_publish(publication).await.unwrap(), []);
    let expected = [("1", r#"{"k":"shared"}"#), ("2", r#"{"k":"own"}"#)];
    let expected = expected.map(|(data, json)| {
        let fields = ["data", data, "metadata", json];
        fields.map(|text| text.as_bytes().to_vec()).to_vec()
    });
    assert_eq!(entries(&redis, "t").await, expected);

    // The memory ends somewhere among them.
    let memory: String = redis.command(&["INFO", "memory"]).await;
    let used = memory
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let most = used.unwrap().parse::<u64>().unwrap() + (3 << 20);
    let () = redis
        .command(&["CONFIG", "SET", "maxmemory", &most.to_string()])
        .await;
    let data = vec![b'x'; 1 << 20];
    let sent = (0..8).map(|n| BulkPublishEntry::new(n.to_string(), data.clone()));
    let failed = bulk
        .bulk_publish(BulkPublication::new("big", sent.collect()))
        .await
        .unwrap();
    let taken: usize = redis.command(&["XLEN", "big"]).await;
    assert!((1..8).contains(&taken), "{taken}");
    let ids: Vec<&str> = failed.iter().map(|entry| entry.entry_id.as_str()).collect();
    let expected: Vec<String> = (taken..8).map(|n| n.to_string()).collect();
    assert_eq!(ids, expected);
    assert!(failed[0].error.contains("OOM"), "{}", failed[0].error);
    let error = pubsub.publish(Publication::new("big", data)).await;
    assert_eq!(error.unwrap_err().kind(), &ErrorKind::Throttled);
}

#[tokio::test]
async fn streams_are_trimmed_as_set() {
    let Some(redis) = Redis::start("streams_are_trimmed_as_set").await else {
        return;
    };
    // So that about so many is exactly so many.
    let () = redis
        .command(&["CONFIG", "SET", "stream-node-max-entries", "1"])
        .await;
    let pubsub = open(&redis, &[("maxLenApprox", "3"), ("streamTTL", "1ms")]).await;
    let length = async |topic: &str| redis.command::<usize>(&["XLEN", topic]).await;
    for n in 0..10 {
        publish(&pubsub, "length", &n.to_string()).await;
    }
    assert_eq!(length("length").await, 3);

    let () = redis.command(&["XADD", "age", "1-1", "data", "old"]).await;
    let pubsub = open(&redis, &[("streamTTL", "1h")]).await;
    for n in 0..10 {
        publish(&pubsub, "age", &n.to_string()).await;
    }
    assert_eq!(length("age").await, 10);
    let pubsub = open(&redis, &[("maxLenApprox", "-1"), ("streamTTL", "0")]).await;
    for n in 0..10 {
        publish(&pubsub, "all", &n.to_string()).await;
    }
    assert_eq!(length("all").await, 10);
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let Some(mut redis) = Redis::start("errors_say_what_is_wrong").await else {
        return;
    };
    let pubsub = open(&redis, &[("readTimeout", "1s")]).await;
    let error = pubsub.publish(Publication::new("", "x")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    let () = redis.command(&["SET", "text", "x"]).await;
    let error = pubsub.publish(Publication::new("text", "x")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Internal);
    let text = error.to_string();
    assert!(
        text.starts_with("redis streams: error from publish: "),
        "{text}"
    );
    assert!(text.contains("WRONGTYPE"), "{text}");

    redis.kill().await;
    let error = pubsub
        .publish(Publication::new("t", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    let bulk = BulkPublication::new("t", vec![BulkPublishEntry::new("a", "1")]);
    let bulk = pubsub.bulk_publisher().unwrap().bulk_publish(bulk).await;
    assert_eq!(bulk.unwrap_err().kind(), &ErrorKind::Unavailable);
    let error = try_open(&metadata(&redis, &[])).await.err().unwrap();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("redis streams: error connecting to redis"),
        "{text}"
    );
}

#[tokio::test]
async fn settings_that_are_wrong_are_named() {
    for (key, value, expected) in [
        ("processingTimeout", "soon", "a duration"),
        ("processingTimeout", "-1s", "not negative"),
        ("redeliverInterval", "", "a duration"),
        ("queueDepth", "-1", "an integer"),
        ("concurrency", "0", "at least 1"),
        ("concurrency", "many", "an integer"),
        ("maxLenApprox", "1.5", "an integer"),
        ("streamTTL", "30d", "a duration"),
        ("nackPolicy", "drop", "redeliver"),
        ("maxDeliveryCount", "5", "nackPolicy redeliver"),
        ("maxDeliveryCount", "-1", "an integer"),
    ] {
        let properties = Metadata::from([("redisHost", "127.0.0.1:1"), (key, value)]);
        let error = try_open(&properties).await.err().unwrap();
        assert_eq!(error.kind(), &ErrorKind::InvalidSettings, "{error}");
        let text = error.to_string();
        assert!(text.contains(key) && text.contains(expected), "{text}");
        assert!(text.contains(value), "{text}");
    }
    let never = [
        ("redisHost", "127.0.0.1:1"),
        ("nackPolicy", "redeliver"),
        ("redeliverInterval", "0"),
    ];
    let error = try_open(&Metadata::from(never)).await.err().unwrap();
    assert!(
        error.to_string().contains("redeliverInterval is 0"),
        "{error}"
    );
}
