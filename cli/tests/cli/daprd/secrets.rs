//! Secret stores.

use serde_json::{Value, json};

use super::resources::{component, component_with};
use super::site::Site;
use crate::program::text;

#[tokio::test]
async fn secrets_are_there_for_applications_and_for_components() {
    let test = "secrets::secrets_are_there_for_applications_and_for_components";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    let _memory = site.serve("memory").await;
    let _sqlite = site.serve("sqlite").await;
    let file = site.file("secret.db");
    let secrets = [("file", text(&file)), ("password", "pa\u{df}")];
    let reference = json!({
        "name": "connectionString",
        "secretKeyRef": {"name": "file", "key": "file"},
    });
    let mut store = component_with("store", "state.sqlite-local", vec![reference]);
    store["auth"] = json!({"secretStore": "vault"});
    site.write_resources(&[
        store,
        component("vault", "secretstores.memory-local", &secrets),
    ]);
    let sidecar = site.sidecar("shop").start().await;

    let answer = sidecar.get("/v1.0/secrets/vault/password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let secret: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(secret, json!({"password": "pa\u{df}"}));
    let answer = sidecar.get("/v1.0/secrets/vault/bulk").await;
    let all: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        all,
        json!({"password": {"password": "pa\u{df}"}, "file": {"file": text(&file)}})
    );
    let answer = sidecar.get("/v1.0/secrets/vault/none").await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(
        answer.text().contains("secret none not found"),
        "{answer:?}"
    );

    let items = json!([{"key": "k", "value": 1}]);
    let answer = sidecar.post("/v1.0/state/store", &items).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(file.try_exists().unwrap(), "the store took another file");
    sidecar.stop().await;
}
