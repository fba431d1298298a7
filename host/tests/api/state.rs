//! State, end to end on SQLite.

use dapr_pluggable::state::SetRequest;
use dapr_pluggable_testbed::{HttpRequest, eventually};
use serde_json::json;
use tempfile::tempdir;
use tokio::task::JoinSet;

use crate::harness::{Served, json, send};

const ORDERS: &str = "/v1.0/state/orders";

#[tokio::test]
async fn a_value_comes_back_as_it_was_written_also_after_a_restart() {
    let folder = tempdir().unwrap();
    let text = r#"{"b": 1.0, "a": [12345678901234567890, "<&>\u2028"], "a":null}"#;
    let served = Served::start(folder.path()).await;
    let saved = served
        .post(ORDERS, format!(r#"[{{"key":"a b/c","value": {text} }}]"#))
        .await;
    assert_eq!((saved.status, saved.text()), (204, String::new()));
    served.stop().await;

    let served = Served::start(folder.path()).await;
    let got = served.get(&format!("{ORDERS}/a+b%2Fc")).await;
    assert_eq!((got.status, got.text()), (200, text.to_owned()));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert!(got.header("etag").is_some_and(|etag| !etag.is_empty()));
    served.stop().await;
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let key = format!("{ORDERS}/k");
    let save = |value: u32, etag: Option<String>| {
        let item = json!([{ "key": "k", "value": value, "etag": etag }]);
        served.post(ORDERS, item.to_string())
    };
    assert_eq!(save(1, None).await.status, 204);
    let first = served.get(&key).await.header("etag").unwrap().to_owned();
    assert_eq!(save(2, Some(first.clone())).await.status, 204);

    let stale = save(3, Some(first.clone())).await;
    assert_eq!(stale.status, 409);
    let text = "failed saving state in state store orders: possible etag mismatch. error from state store: key \"app||k\" was changed by another write";
    assert_eq!(
        json(&stale),
        json!({ "errorCode": "ERR_STATE_SAVE", "message": text })
    );
    let delete =
        |etag: &str| served.send(HttpRequest::new("DELETE", key.as_str()).header("If-Match", etag));
    assert_eq!(delete(&first).await.status, 409);
    let got = served.get(&key).await;
    assert_eq!(got.text(), "2");
    assert_eq!(delete(got.header("etag").unwrap()).await.status, 204);
    assert_eq!(served.get(&key).await.status, 204);
    served.stop().await;
}

#[tokio::test]
async fn a_transaction_happens_whole_or_not_at_all() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let transaction = format!("{ORDERS}/transaction");
    served.post(ORDERS, r#"[{"key":"old","value":1}]"#).await;
    let operations = |etag: Option<&str>| {
        json!({ "operations": [
            { "operation": "upsert", "request": { "key": "new", "value": { "n": 1 } } },
            { "operation": "delete", "request": { "key": "old", "etag": etag } },
        ], "metadata": null })
        .to_string()
    };
    let failed = served.post(&transaction, operations(Some("stale"))).await;
    assert_eq!(failed.status, 500);
    let body = json(&failed);
    assert_eq!(body["errorCode"], "ERR_STATE_TRANSACTION");
    assert_eq!(served.get(&format!("{ORDERS}/new")).await.status, 204);
    assert_eq!(served.get(&format!("{ORDERS}/old")).await.status, 200);

    assert_eq!(
        served.post(&transaction, operations(None)).await.status,
        204
    );
    assert_eq!(
        served.get(&format!("{ORDERS}/new")).await.text(),
        r#"{"n":1}"#
    );
    assert_eq!(served.get(&format!("{ORDERS}/old")).await.status, 204);
    served.stop().await;
}

#[tokio::test]
async fn a_value_with_a_limited_life_ends() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let path = format!("{ORDERS}?metadata.ttlInSeconds=1");
    let item = r#"[{"key":"k","value":1,"metadata":{"ttlInSeconds":"9000"}}]"#;
    assert_eq!(served.post(&path, item).await.status, 204);
    eventually("the end of the value", async || {
        let got = served.get(&format!("{ORDERS}/k")).await;
        if got.status == 200 {
            assert!(got.header("Metadata.ttlexpiretime").is_some());
        }
        got.status == 204
    })
    .await;
    served.stop().await;
}

#[tokio::test]
async fn a_query_finds_pages_of_values() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let items: Vec<_> = (0..5)
        .map(|n| json!({ "key": format!("k{n}"), "value": { "n": n, "even": n % 2 == 0 } }))
        .collect();
    let saved = served.post(ORDERS, json!(items).to_string()).await;
    assert_eq!(saved.status, 204);
    let query = |token: Option<&str>| {
        let query = json!({
            "filter": { "EQ": { "even": true } },
            "sort": [{ "key": "n", "order": "DESC" }],
            "page": { "limit": 2, "token": token },
        });
        served.post("/v1.0-alpha1/state/orders/query", query.to_string())
    };
    let first = json(&query(None).await);
    let keys = |page: &serde_json::Value| -> Vec<String> {
        let results = page["results"].as_array().unwrap().iter();
        results
            .map(|item| item["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&first), ["k4", "k2"]);
    assert_eq!(first["results"][0]["data"], json!({ "n": 4, "even": true }));
    let second = json(&query(first["token"].as_str()).await);
    assert_eq!(keys(&second), ["k0"]);
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_json_is_said_in_a_bulk_get_and_given_in_a_get() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let components = served.host.registry().components();
    let store = components.state_store("orders").unwrap().store();
    for (key, value) in [("app||raw", "no json"), ("app||json", r#"{"a":1}"#)] {
        store.set(SetRequest::new(key, value)).await.unwrap();
    }
    let path = format!("{ORDERS}/bulk");
    let got = served
        .post(&path, r#"{"keys":["raw","json","none"]}"#)
        .await;
    let items = json(&got);
    let reason = "value is not JSON: get the key alone to read its bytes";
    assert_eq!(items[0]["key"], "raw");
    assert_eq!(items[0]["error"], reason);
    assert!(items[0].get("data").is_none());
    assert_eq!(items[1]["data"], json!({ "a": 1 }));
    assert_eq!(items[2], json!({ "key": "none" }));
    let got = served.get(&format!("{ORDERS}/raw")).await;
    assert_eq!(got.text(), "no json");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_writers_none_is_lost() {
    const WRITERS: usize = 8;
    const EACH: usize = 5;
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let saved = served.post(ORDERS, r#"[{"key":"count","value":0}]"#).await;
    assert_eq!(saved.status, 204);
    let address = served.address;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(async move {
            let mut added = 0;
            while added < EACH {
                let got = send(address, HttpRequest::new("GET", format!("{ORDERS}/count"))).await;
                let count: usize = got.text().parse().unwrap();
                let item =
                    json!([{ "key": "count", "value": count + 1, "etag": got.header("etag") }]);
                let saved = HttpRequest::new("POST", ORDERS).body(item.to_string());
                match send(address, saved).await.status {
                    204 => added += 1,
                    409 => {}
                    other => panic!("status {other}"),
                }
            }
        });
    }
    writers.join_all().await;
    let got = served.get(&format!("{ORDERS}/count")).await;
    assert_eq!(got.text(), (WRITERS * EACH).to_string());
    served.stop().await;
}

#[tokio::test]
async fn a_store_says_what_it_cannot_do() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let code = |answer: &dapr_pluggable_testbed::HttpAnswer| {
        let body = json(answer);
        (
            answer.status,
            body["errorCode"].as_str().unwrap().to_owned(),
            body["message"].as_str().unwrap().to_owned(),
        )
    };
    for (method, path, body, status, expected, message) in [
        (
            "POST",
            "/v1.0/state/gated/transaction",
            "{}",
            500,
            "ERR_STATE_STORE_NOT_SUPPORTED",
            "state store gated doesn't support transactions",
        ),
        (
            "POST",
            "/v1.0-alpha1/state/gated/query",
            "{}",
            500,
            "ERR_STATE_STORE_NOT_SUPPORTED",
            "state store does not support querying",
        ),
        (
            "POST",
            "/v1.0/state/gated",
            r#"[{"key":"k","value":1}]"#,
            500,
            "ERR_STATE_SAVE",
            "failed saving state in state store gated: rpc error: code = Unavailable desc = store is read-only now",
        ),
        (
            "DELETE",
            "/v1.0/state/gated/k",
            "",
            500,
            "ERR_STATE_DELETE",
            "failed deleting state with key k: rpc error: code = Internal desc = ",
        ),
        (
            "GET",
            "/v1.0/state/later/k",
            "",
            500,
            "ERR_STATE_STORE_NOT_CONFIGURED",
            "state store later is not configured: waiting for ",
        ),
        (
            "GET",
            "/v1.0/state/nowhere/k",
            "",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
            "state store nowhere is not found",
        ),
        // It waits, but it is no state store.
        (
            "GET",
            "/v1.0/state/bus/k",
            "",
            400,
            "ERR_STATE_STORE_NOT_FOUND",
            "state store bus is not found",
        ),
    ] {
        let answer = served.send(HttpRequest::new(method, path).body(body)).await;
        let (got_status, got_code, got_message) = code(&answer);
        assert_eq!(
            (got_status, got_code.as_str()),
            (status, expected),
            "{path}"
        );
        assert!(got_message.starts_with(message), "{got_message}");
    }
    served.stop().await;
}
