//! Health and metadata.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dapr_pluggable_host::api::{self, Api};
use dapr_pluggable_host::{Readiness, Registry};
use dapr_pluggable_testbed::{HttpRequest, within};
use serde_json::json;
use tempfile::tempdir;
use tokio_util::sync::CancellationToken;

use crate::harness::{Served, json, send};

#[tokio::test]
async fn health_follows_the_host() {
    let readiness = Readiness::new();
    let shutdown = CancellationToken::new();
    let registry = Arc::new(Registry::new());
    let api = Api::new("app", registry, readiness.clone(), shutdown.clone());
    let listener = api::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(api.serve(listener));
    let ask = async |path: &str| {
        let answer = send(address, HttpRequest::new("GET", path)).await;
        let code = match answer.status {
            204 => String::new(),
            _ => json(&answer)["errorCode"].as_str().unwrap().to_owned(),
        };
        (answer.status, code)
    };
    let failed = |code: &str| (500, code.to_owned());
    let fine = (204, String::new());
    let (healthz, outbound) = ("/v1.0/healthz", "/v1.0/healthz/outbound");

    assert_eq!(ask(healthz).await, failed("ERR_HEALTH_NOT_READY"));
    assert_eq!(ask(outbound).await, failed("ERR_OUTBOUND_HEALTH_NOT_READY"));
    readiness.set_outbound_ready();
    assert_eq!(ask(healthz).await, failed("ERR_HEALTH_NOT_READY"));
    assert_eq!(ask(outbound).await, fine);
    readiness.set_ready();
    assert_eq!(ask(healthz).await, fine);
    assert_eq!(ask("/v1.0/healthz?appid=app").await, fine);
    let other = ask("/v1.0/healthz?appid=other").await;
    assert_eq!(other, failed("ERR_HEALTH_APPID_NOT_MATCH"));
    readiness.set_stopping();
    assert_eq!(ask(outbound).await, failed("ERR_OUTBOUND_HEALTH_NOT_READY"));

    shutdown.cancel();
    within("the end of the API", serving).await.unwrap();
}

#[tokio::test]
async fn metadata_shows_the_components_and_what_was_noted() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    for (path, value) in [
        ("/v1.0/metadata/cliPID", "123"),
        ("/v1.0/metadata/a%20b%2Fc", "x y"),
        ("/v1.0/metadata/daprRuntimeVersion", "mine"),
    ] {
        let put = served.send(HttpRequest::new("PUT", path).body(value)).await;
        assert_eq!(put.status, 204);
    }
    let got = served.get("/v1.0/metadata").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    let metadata = json(&got);
    assert_eq!(metadata["id"], "app");
    let version = &metadata["runtimeVersion"];
    assert!(version.is_string());
    assert_eq!(
        metadata["extended"],
        json!({ "cliPID": "123", "a b/c": "x y", "daprRuntimeVersion": version })
    );
    assert_eq!(
        metadata["components"],
        json!([
            {
                "name": "orders",
                "type": "state.sqlite",
                "version": "v1",
                "capabilities": ["ETAG", "TRANSACTIONAL", "QUERY_API", "TTL", "ACTOR"],
            },
            { "name": "gated", "type": "state.gated", "version": "v1" },
        ])
    );
    let folder = served.sockets_folder().display();
    let reason = format!("waiting for the socket later.sock in {folder}");
    assert_eq!(
        metadata["waitingComponents"],
        json!([
            { "name": "bus", "type": "pubsub.later", "version": "v1", "reason": reason },
            { "name": "later", "type": "state.later", "version": "v1", "reason": reason },
        ])
    );
    assert_eq!(metadata["actorRuntime"]["runtimeStatus"], "DISABLED");
    served.stop().await;
}
