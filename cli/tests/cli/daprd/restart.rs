//! A component that is killed, and served again, under a runtime that runs on.

use dapr_pluggable_testbed::{HttpAnswer, Signal, eventually};
use serde_json::json;

use super::application::Application;
use super::sidecar::{Sidecar, post};
use super::site::Site;

#[tokio::test]
async fn with_hup_everything_works_again() {
    let Some(site) = Site::prepare("restart::with_hup_everything_works_again") else {
        return;
    };
    site.keep_in_sqlite();
    works_again(&site, "sqlite").await;
}

#[tokio::test]
async fn with_hup_everything_works_again_on_redis() {
    let test = "restart::with_hup_everything_works_again_on_redis";
    let Some((site, redis)) = Site::prepare_with_redis(test).await else {
        return;
    };
    site.keep_in_redis(&redis, "redis-local");
    works_again(&site, "redis").await;
}

async fn works_again(site: &Site, name: &str) {
    let application = Application::willing().await;
    let mut component = site.serve_with(name, &["--on-lost-init=hup"]).await;
    let launch = site.sidecar("shop").application(&application);
    let mut sidecar = launch.start().await;
    save(&sidecar, "before").await;
    sidecar.publish("broker", "orders", "before").await;
    application.gets("/orders", &json!("before"), 1).await;

    // Twice: a runtime that was told once is told again by the next process.
    for round in ["first", "second"] {
        component.signal(Signal::KILL);
        component.end().await;
        component = site.serve_with(name, &["--on-lost-init=hup"]).await;
        eventually("state can be written", async || {
            assert!(sidecar.process.is_running(), "{}", sidecar.process.log());
            let saved = try_save(&sidecar, round).await;
            saved.is_some_and(|answer| answer.status == 204)
        })
        .await;
        eventually("messages can be published", async || {
            let publish = post("/v1.0/publish/broker/orders", &json!(round));
            let answer = publish.try_send(sidecar.address()).await;
            answer.is_ok_and(|answer| answer.status == 204)
        })
        .await;
        application.gets("/orders", &json!(round), 1).await;
        component.says("sent SIGHUP to daprd").await;
        assert_eq!(
            sidecar.get("/v1.0/state/store/before").await.text(),
            "\"before\""
        );
    }
    sidecar.stop().await;
    assert_eq!(
        component.stop().await.code(),
        Some(0),
        "{}",
        component.log()
    );
}

async fn save(sidecar: &Sidecar, key: &str) {
    let answer = try_save(sidecar, key).await.unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// Writes a key with its own name as the value; `None` where the runtime does not answer.
async fn try_save(sidecar: &Sidecar, key: &str) -> Option<HttpAnswer> {
    let items = json!([{"key": key, "value": key}]);
    post("/v1.0/state/store", &items)
        .try_send(sidecar.address())
        .await
        .ok()
}
