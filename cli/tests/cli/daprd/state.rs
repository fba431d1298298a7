//! State stores.

use std::collections::BTreeMap;

use dapr_pluggable_testbed::{HttpRequest, Process, eventually};
use serde_json::{Value, json};

use super::resources::{component, redis_of_dapr};
use super::sidecar::Sidecar;
use super::site::Site;
use crate::program::{serve, text};

const STORE: &str = "/v1.0/state/store";

#[tokio::test]
async fn memory_is_a_state_store() {
    if let Some(site) = Site::prepare("state::memory_is_a_state_store") {
        let component = site.serve("memory").await;
        keeps_state(&site, component, "state.memory-local", &[], Extent::Full).await;
    }
}

#[tokio::test]
async fn sqlite_is_a_state_store() {
    if let Some(site) = Site::prepare("state::sqlite_is_a_state_store") {
        let file = site.file("state.db");
        let metadata = [("connectionString", text(&file))];
        let component = site.serve("sqlite").await;
        keeps_state(
            &site,
            component,
            "state.sqlite-local",
            &metadata,
            Extent::Full,
        )
        .await;
    }
}

#[tokio::test]
async fn redis_is_a_state_store_for_the_resource_file_of_daprs_own() {
    let test = "state::redis_is_a_state_store_for_the_resource_file_of_daprs_own";
    let Some((site, redis)) = Site::prepare_with_redis(test).await else {
        return;
    };
    let component = serve(site.sockets(), &["redis"]).await;
    let host = redis.host();
    let metadata = redis_of_dapr(&host);
    keeps_state(&site, component, "state.redis", &metadata, Extent::Redis).await;
    // Under the runtime's prefix, in the fields of Dapr's own component.
    let keys: Vec<String> = redis.command(&["KEYS", "shop*||a"]).await;
    let [key] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    let fields: BTreeMap<String, String> = redis.command(&["HGETALL", key]).await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(fields, [("data", "2"), ("version", "2")]);
}

/// How much of what a store may have one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Full,
    /// No queries; a first-write goes over what no first-write has written; nobody hears when a value expires.
    Redis,
}

async fn keeps_state(
    site: &Site,
    mut process: Process,
    component_type: &str,
    metadata: &[(&str, &str)],
    extent: Extent,
) {
    site.write_resources(&[component("store", component_type, metadata)]);
    let sidecar = site.sidecar("shop").start().await;
    single_values(&sidecar).await;
    etags(&sidecar).await;
    time_to_live(&sidecar).await;
    many_values(&sidecar).await;
    transactions(&sidecar).await;
    if extent == Extent::Full {
        first_write(&sidecar).await;
        expiry(&sidecar).await;
        queries(&sidecar).await;
    }
    sidecar.stop().await;
    assert!(process.stop().await.success(), "{}", process.log());
}

async fn single_values(sidecar: &Sidecar) {
    let value = json!({"text": "\u{fc}\"\n", "list": [1, null, 2.5]});
    save(sidecar, &json!([{"key": "one", "value": value}])).await;
    assert_eq!(read(sidecar, "one").await, value);
    assert_eq!(delete(sidecar, "one", None).await, 204);
    assert_eq!(read(sidecar, "one").await, Value::Null);
    assert_eq!(delete(sidecar, "one", None).await, 204);
}

async fn etags(sidecar: &Sidecar) {
    save(sidecar, &json!([{"key": "e", "value": 1}])).await;
    let first = etag(sidecar, "e").await;
    save(sidecar, &json!([{"key": "e", "value": 2, "etag": first}])).await;
    let second = etag(sidecar, "e").await;
    assert_ne!(first, second);

    let stale = json!([{"key": "e", "value": 3, "etag": first}]);
    let answer = sidecar.post(STORE, &stale).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(delete(sidecar, "e", Some(&first)).await, 409);
    assert_eq!(read(sidecar, "e").await, json!(2));
    assert_eq!(delete(sidecar, "e", Some(&second)).await, 204);
    assert_eq!(read(sidecar, "e").await, Value::Null);
}

async fn first_write(sidecar: &Sidecar) {
    save(sidecar, &json!([{"key": "f", "value": 1}])).await;
    let create = json!([{"key": "f", "value": 2, "options": {"concurrency": "first-write"}}]);
    let answer = sidecar.post(STORE, &create).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(read(sidecar, "f").await, json!(1));
}

async fn time_to_live(sidecar: &Sidecar) {
    let short = json!([{"key": "ttl", "value": 1, "metadata": {"ttlInSeconds": "1"}}]);
    save(sidecar, &short).await;
    eventually("a value goes", async || {
        read(sidecar, "ttl").await == Value::Null
    })
    .await;
}

async fn expiry(sidecar: &Sidecar) {
    let long = json!([{"key": "ttl", "value": 1, "metadata": {"ttlInSeconds": "1000"}}]);
    save(sidecar, &long).await;
    let answer = sidecar.get(&format!("{STORE}/ttl")).await;
    assert!(
        answer.header("metadata.ttlexpiretime").is_some(),
        "{answer:?}"
    );
}

async fn many_values(sidecar: &Sidecar) {
    save(
        sidecar,
        &json!([{"key": "a", "value": "A"}, {"key": "b", "value": {"b": [true]}}]),
    )
    .await;
    let keys = json!({"keys": ["b", "none", "a"], "parallelism": 2});
    let answer = sidecar.post(&format!("{STORE}/bulk"), &keys).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut items: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    items.sort_by_key(|item| item["key"].to_string());
    for item in &mut items {
        let etag = item.as_object_mut().unwrap().remove("etag");
        assert_eq!(etag.is_some(), item["key"] != "none", "{item}");
    }
    assert_eq!(
        json!(items),
        json!([
            {"key": "a", "data": "A"},
            {"key": "b", "data": {"b": [true]}},
            {"key": "none"},
        ])
    );

    // One stale etag among several.
    let stale = etag(sidecar, "a").await;
    save(sidecar, &json!([{"key": "a", "value": 2}])).await;
    let items = json!([{"key": "a", "value": 3, "etag": stale}, {"key": "c", "value": 3}]);
    let answer = sidecar.post(STORE, &items).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(read(sidecar, "a").await, json!(2));
}

async fn transactions(sidecar: &Sidecar) {
    let path = format!("{STORE}/transaction");
    save(sidecar, &json!([{"key": "old", "value": 1}])).await;
    let swap = json!({"operations": [
        {"operation": "upsert", "request": {"key": "new", "value": {"n": 1}}},
        {"operation": "delete", "request": {"key": "old"}},
    ]});
    let answer = sidecar.post(&path, &swap).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(read(sidecar, "new").await, json!({"n": 1}));
    assert_eq!(read(sidecar, "old").await, Value::Null);

    let stale = etag(sidecar, "new").await;
    save(sidecar, &json!([{"key": "new", "value": 2}])).await;
    let refused = json!({"operations": [
        {"operation": "upsert", "request": {"key": "other", "value": 1}},
        {"operation": "upsert", "request": {"key": "new", "value": 3, "etag": stale}},
    ]});
    let answer = sidecar.post(&path, &refused).await;
    assert!(answer.status >= 400, "{answer:?}");
    assert_eq!(read(sidecar, "new").await, json!(2));
    assert_eq!(read(sidecar, "other").await, Value::Null);
}

async fn queries(sidecar: &Sidecar) {
    let people = [
        ("ada", "Rome", 36),
        ("bob", "Oslo", 20),
        ("eve", "Rome", 41),
    ];
    let people = people.map(|(key, city, age)| {
        let value = json!({"city": city, "age": age});
        json!({"key": key, "value": value, "metadata": {"contentType": "application/json"}})
    });
    save(sidecar, &json!(people)).await;
    let mut query = json!({
        "filter": {"EQ": {"city": "Rome"}},
        "sort": [{"key": "age", "order": "DESC"}],
        "page": {"limit": 1},
    });
    for expected in ["eve", "ada"] {
        let path = "/v1.0-alpha1/state/store/query";
        let answer = sidecar.post(path, &query).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page: Value = serde_json::from_slice(&answer.body).unwrap();
        let keys = page["results"].as_array().unwrap().iter();
        let keys: Vec<&Value> = keys.map(|row| &row["key"]).collect();
        assert_eq!(keys, [expected], "{page}");
        query["page"]["token"] = page["token"].clone();
    }
}

async fn save(sidecar: &Sidecar, items: &Value) {
    let answer = sidecar.post(STORE, items).await;
    assert_eq!(answer.status, 204, "{items}: {answer:?}");
}

/// The value of a key; null where there is none.
async fn read(sidecar: &Sidecar, key: &str) -> Value {
    let answer = sidecar.get(&format!("{STORE}/{key}")).await;
    match answer.status {
        204 => Value::Null,
        _ => serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}")),
    }
}

async fn etag(sidecar: &Sidecar, key: &str) -> String {
    let answer = sidecar.get(&format!("{STORE}/{key}")).await;
    let etag = answer.header("etag");
    etag.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn delete(sidecar: &Sidecar, key: &str, etag: Option<&str>) -> u16 {
    let mut request = HttpRequest::new("DELETE", format!("{STORE}/{key}"));
    if let Some(etag) = etag {
        request = request.header("if-match", etag);
    }
    sidecar.send(request).await.status
}
