//! The state store.

use std::sync::Arc;

use dapr_pluggable::state::{
    BulkEntry, Concurrency, DeleteRequest, Entry, GetRequest, Operation, Parallelism, SetRequest,
    StateStore,
};
use dapr_pluggable::{Bytes, ErrorKind, InstanceId, Metadata, Opener as _, Result};

use crate::folder::Folder;

pub(crate) async fn open(properties: &[(&str, &str)]) -> Result<Arc<dyn StateStore>> {
    let properties: Metadata = properties.iter().copied().collect();
    dapr_component_sqlite::blocks()
        .open_state_store(&InstanceId::new("store"), &properties)
        .await
}

pub(crate) async fn open_file(folder: &Folder) -> Arc<dyn StateStore> {
    open(&[("connectionString", &folder.database())])
        .await
        .unwrap()
}

async fn get(store: &Arc<dyn StateStore>, key: &str) -> Option<Entry> {
    store.get(GetRequest::new(key)).await.unwrap()
}

pub(crate) async fn value(store: &Arc<dyn StateStore>, key: &str) -> Option<Bytes> {
    get(store, key).await.map(|entry| entry.value)
}

fn set_with(key: &str, value: &str, ttl: &str) -> SetRequest {
    let mut request = SetRequest::new(key, value.to_owned());
    request.metadata = Metadata::from([("ttlInSeconds", ttl)]);
    request
}

/// The table as Dapr's component leaves it after its first Init.
const DAPR_TABLES: &str = "
    CREATE TABLE metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
    INSERT INTO metadata VALUES ('migrations', '1');
    CREATE TABLE state (
      key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL, etag TEXT NOT NULL,
      expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);";

#[tokio::test]
async fn reads_what_dapr_wrote() {
    let folder = Folder::new();
    folder.sqlite3(DAPR_TABLES);
    folder.sqlite3(
        "INSERT INTO state VALUES ('json', '{\"b\":1}', 0, 'e1', NULL, CURRENT_TIMESTAMP);
         INSERT INTO state VALUES ('bytes', 'AP/+aGVsbG8=', TRUE, 'e2', datetime('now', '+1 hour'), CURRENT_TIMESTAMP);
         INSERT INTO state VALUES ('past', 'MQ==', 1, 'e3', datetime('now', '-1 second'), CURRENT_TIMESTAMP);
         INSERT INTO state VALUES ('broken', '***', 1, 'e4', NULL, CURRENT_TIMESTAMP);",
    );
    let store = open_file(&folder).await;

    let json = get(&store, "json").await.unwrap();
    assert_eq!(json.value, r#"{"b":1}"#);
    assert_eq!(json.etag.unwrap().as_str(), "e1");
    assert!(json.metadata.is_empty());
    let bytes = get(&store, "bytes").await.unwrap();
    assert_eq!(bytes.value, &b"\x00\xff\xfehello"[..]);
    let expiry = bytes.metadata.get("ttlExpireTime").unwrap();
    assert_eq!(
        expiry,
        folder.sqlite3(
            "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', expiration_time) FROM state WHERE key = 'bytes'"
        )
    );
    assert_eq!(get(&store, "past").await, None);
    let error = store.get(GetRequest::new("broken")).await.unwrap_err();
    assert!(error.message().contains("\"broken\""), "{error}");

    // Their etags are conditions like ours.
    let mut request = SetRequest::new("json", "2");
    request.etag = Some("e1".into());
    store.set(request).await.unwrap();
    assert_eq!(value(&store, "json").await.unwrap(), "2");
}

#[tokio::test]
async fn writes_what_dapr_reads() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    store
        .set(SetRequest::new("json", r#"{ "b": 1.0 }"#))
        .await
        .unwrap();
    store
        .set(SetRequest::new("bytes", &b"\x00\xff"[..]))
        .await
        .unwrap();
    store.set(set_with("ttl", "hello", "3600")).await.unwrap();

    assert_eq!(
        folder.sqlite3("SELECT key, value, is_binary, typeof(value), typeof(etag), length(etag) FROM state ORDER BY key"),
        "bytes|AP8=|1|text|text|36\njson|{ \"b\": 1.0 }|0|text|text|36\nttl|aGVsbG8=|1|text|text|36"
    );
    assert_eq!(
        folder.sqlite3(
            "SELECT key FROM state WHERE etag GLOB '????????-????-4???-[89ab]???-????????????' AND etag = lower(etag)
             AND update_time = datetime(update_time) AND update_time BETWEEN datetime('now', '-60 seconds') AND CURRENT_TIMESTAMP
             ORDER BY key"
        ),
        "bytes\njson\nttl"
    );
    assert_eq!(
        folder.sqlite3("SELECT expiration_time BETWEEN datetime('now', '+3590 seconds') AND datetime('now', '+3600 seconds') FROM state WHERE key = 'ttl'"),
        "1"
    );
    assert_eq!(folder.sqlite3("SELECT * FROM metadata"), "migrations|1");
    // The columns are in the order in which a positional insert has them.
    assert_eq!(
        folder.sqlite3(
            "SELECT name, type, \"notnull\", pk FROM pragma_table_info('state') ORDER BY cid"
        ),
        "key|TEXT|1|1\nvalue|TEXT|1|0\nis_binary|BOOLEAN|1|0\netag|TEXT|1|0\nexpiration_time|TIMESTAMP|0|0\n\
         update_time|TIMESTAMP|1|0"
    );
    assert_eq!(
        folder.sqlite3("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table') AND name NOT LIKE 'sqlite_autoindex%'"),
        "0"
    );
    folder.sqlite3("INSERT INTO state VALUES ('theirs', '1', 0, 'e', NULL, CURRENT_TIMESTAMP)");
    assert_eq!(value(&store, "theirs").await.unwrap(), "1");
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_expired_row_is_no_value() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    for key in ["first", "etag", "deleted"] {
        store.set(set_with(key, "old", "100")).await.unwrap();
    }
    let etag = get(&store, "etag").await.unwrap().etag;
    let deleted = get(&store, "deleted").await.unwrap().etag;
    folder.sqlite3("UPDATE state SET expiration_time = datetime('now', '-1 seconds')");

    let mut first = SetRequest::new("first", "new");
    first.concurrency = Concurrency::FirstWrite;
    store.set(first.clone()).await.unwrap();
    assert_eq!(value(&store, "first").await.unwrap(), "new");
    let error = store.set(first).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::EtagMismatch);

    let mut over = SetRequest::new("etag", "new");
    over.etag = etag;
    assert_eq!(
        store.set(over).await.unwrap_err().kind(),
        &ErrorKind::EtagMismatch
    );

    // A delete by etag finds expired rows too.
    let mut delete = DeleteRequest::new("deleted");
    delete.etag = deleted;
    store.delete(delete.clone()).await.unwrap();
    assert_eq!(
        store.delete(delete).await.unwrap_err().kind(),
        &ErrorKind::EtagMismatch
    );
}

#[tokio::test]
async fn a_write_without_ttl_ends_the_limit() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    for ttl in ["", "0", "-1"] {
        store.set(set_with("k", "1", "50")).await.unwrap();
        assert!(
            get(&store, "k")
                .await
                .unwrap()
                .metadata
                .get("ttlExpireTime")
                .is_some()
        );
        store.set(set_with("k", "2", ttl)).await.unwrap();
        assert!(
            get(&store, "k").await.unwrap().metadata.is_empty(),
            "{ttl:?}"
        );
    }
    for bad in ["foo", "-2", "1.5", "2147483648"] {
        let error = store.set(set_with("k", "3", bad)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
        let begin = "error parsing TTL: incorrect value for metadata 'ttlInSeconds': ";
        assert!(error.message().starts_with(begin), "{error}");
        assert!(error.message().contains(bad), "{error}");
    }
    assert_eq!(value(&store, "k").await.unwrap(), "2");
}

#[tokio::test]
async fn the_clean_up_honours_when_it_was_last_done() {
    let folder = Folder::new();
    let expired = |key: &str| {
        format!(
            "INSERT INTO state VALUES ('{key}', '1', 0, 'e', datetime('now', '-10 seconds'), CURRENT_TIMESTAMP);"
        )
    };
    folder.sqlite3(DAPR_TABLES);
    folder.sqlite3(&expired("a"));
    folder.sqlite3(
        "INSERT INTO state VALUES ('kept', '1', 0, 'e', NULL, CURRENT_TIMESTAMP);
                    INSERT INTO metadata VALUES ('last-cleanup', datetime('now', '+30 seconds'));",
    );
    let store = open(&[
        ("connectionString", &folder.database()),
        ("cleanupInterval", "1s"),
    ])
    .await
    .unwrap();
    // Done "in the future" by somebody else: nothing happens, however often this one ticks. A write that comes after
    // three ticks shows that they are over.
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    assert_eq!(
        folder.sqlite3("SELECT group_concat(key) FROM state"),
        "a,kept"
    );
    folder.sqlite3(
        "UPDATE metadata SET value = datetime('now', '-60 seconds') WHERE key = 'last-cleanup'",
    );
    folder
        .eventually("SELECT group_concat(key) FROM state", "kept")
        .await;
    assert_eq!(
        folder.sqlite3(
            "SELECT value > datetime('now', '-20 seconds') FROM metadata WHERE key = 'last-cleanup'"
        ),
        "1"
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    store.set(SetRequest::new("old", "1")).await.unwrap();
    let transact = async |operations| {
        let store = store.transactional().unwrap();
        store.transact(operations, Metadata::new()).await
    };
    let set = |key: &str, value: &str| Operation::Set(SetRequest::new(key, value.to_owned()));
    let delete = |key: &str| Operation::Delete(DeleteRequest::new(key));

    transact(vec![]).await.unwrap();
    transact(vec![
        delete("old"),
        set("a", "1"),
        delete("a"),
        set("b", "2"),
    ])
    .await
    .unwrap();
    assert_eq!(value(&store, "old").await, None);
    assert_eq!(value(&store, "a").await, None);
    assert_eq!(value(&store, "b").await.unwrap(), "2");

    let mut stale = SetRequest::new("b", "3");
    stale.etag = Some("stale".into());
    let error = transact(vec![delete("b"), set("c", "1"), Operation::Set(stale)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
    assert!(error.message().contains("\"b\""), "{error}");
    assert_eq!(value(&store, "b").await.unwrap(), "2");
    assert_eq!(value(&store, "c").await, None);

    let error = transact(vec![set("c", "1"), set("", "1")])
        .await
        .unwrap_err();
    assert_eq!(error.message(), "missing key in set operation");
    assert_eq!(value(&store, "c").await, None);
}

#[tokio::test]
async fn bulk_calls_answer_for_each_item() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    let any = Parallelism::default();
    let mut requests: Vec<_> = (0..3_000)
        .map(|n| SetRequest::new(format!("k{n}"), n.to_string()))
        .collect();
    requests[7].etag = Some("stale".into());
    requests[9].metadata = Metadata::from([("ttlInSeconds", "soon")]);
    requests.push(SetRequest::new("", "x"));
    let error = store.bulk_set(requests, any).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
    for word in [
        "\"k7\" was changed by another write",
        "\"k9\": error parsing TTL",
        "\"\": missing key in set operation",
    ] {
        assert!(error.message().contains(word), "{word} is not in {error}");
    }
    assert_eq!(folder.sqlite3("SELECT count(*) FROM state"), "2998");

    let keys = ["k2999", "k7", "k0", "k0", "", "k\0"].map(GetRequest::new);
    let answers = store.bulk_get(keys.into(), any).await.unwrap();
    let text = |answer: &BulkEntry| match &answer.outcome {
        Ok(Some(entry)) => String::from_utf8_lossy(&entry.value).into_owned(),
        Ok(None) => "-".to_owned(),
        Err(error) => error.to_string(),
    };
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| (answer.key.as_str(), text(answer)))
        .collect();
    let expected = [
        ("k2999", "2999"),
        ("k7", "-"),
        ("k0", "0"),
        ("k0", "0"),
        ("", "missing key in get operation"),
        ("k\0", "-"),
    ];
    assert_eq!(
        answers,
        expected.map(|(key, value)| (key, value.to_owned()))
    );

    let many: Vec<_> = (0..3_000)
        .map(|n| GetRequest::new(format!("k{n}")))
        .collect();
    let answers = store.bulk_get(many, any).await.unwrap();
    assert!(
        answers
            .iter()
            .enumerate()
            .all(|(n, answer)| answer.key == format!("k{n}"))
    );
    assert_eq!(
        answers
            .iter()
            .filter(|a| matches!(a.outcome, Ok(Some(_))))
            .count(),
        2_998
    );

    let requests = (0..3_000)
        .map(|n| DeleteRequest::new(format!("k{n}")))
        .collect();
    store.bulk_delete(requests, any).await.unwrap();
    assert_eq!(folder.sqlite3("SELECT count(*) FROM state"), "0");
}

#[tokio::test]
async fn nothing_in_a_key_or_value_is_sql() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    let nasty = [
        "'; DROP TABLE state; --",
        "\" OR 1=1",
        "a' UNION SELECT 1,2,3,4 --",
        "%",
        "_",
        "?1",
        ":key",
        "tab\tkey",
        "nul\0key",
        "\\",
    ];
    for key in nasty {
        store
            .set(SetRequest::new(key, key.to_owned()))
            .await
            .unwrap();
    }
    for key in nasty {
        assert_eq!(value(&store, key).await.unwrap(), key);
        store.delete(DeleteRequest::new(key)).await.unwrap();
        assert_eq!(value(&store, key).await, None);
    }
    let mut request = SetRequest::new("k", "1");
    request.etag = Some("x' OR '1'='1".into());
    assert_eq!(
        store.set(request).await.unwrap_err().kind(),
        &ErrorKind::EtagMismatch
    );
    assert_eq!(folder.sqlite3("SELECT count(*) FROM state"), "0");
}

#[tokio::test]
async fn other_tables_and_modes_work_the_same() {
    for properties in [
        &[("disableWAL", "true")][..],
        &[
            ("synchronous", "NORMAL"),
            ("tableName", "Values_2"),
            ("metadataTableName", "notes"),
        ],
    ] {
        let folder = Folder::new();
        let database = folder.database();
        let mut all = vec![("connectionString", database.as_str())];
        all.extend(properties);
        let store = open(&all).await.unwrap();
        let writes = (0..50).map(|n| store.set(SetRequest::new(n.to_string(), "1")));
        for outcome in futures::future::join_all(writes).await {
            outcome.unwrap();
        }
        assert_eq!(value(&store, "49").await.unwrap(), "1");
        store.ping().await.unwrap();
        store.close().await.unwrap();
        assert!(store.set(SetRequest::new("k", "1")).await.is_err());
    }
}

#[tokio::test]
async fn a_database_in_memory_is_shared_by_name() {
    let name = format!("file:{}?mode=memory", uuid::Uuid::new_v4());
    let store = open(&[("connectionString", &name)]).await.unwrap();
    let other = open(&[("connectionString", &name)]).await.unwrap();
    let writes = (0..200).map(|n| {
        let store = if n % 2 == 0 { &store } else { &other };
        store.set(SetRequest::new(n.to_string(), "1"))
    });
    for outcome in futures::future::join_all(writes).await {
        outcome.unwrap();
    }
    for n in 0..200 {
        assert_eq!(value(&store, &n.to_string()).await.unwrap(), "1");
    }
    store.close().await.unwrap();
    assert_eq!(value(&other, "1").await.unwrap(), "1");
}
