//! Dapr's own component in place of ours, and the other way round, with what either has left behind.

use dapr_pluggable_testbed::{HttpRequest, eventually, skip};
use serde_json::json;

use super::application::Application;
use super::sidecar::{Launch, Sidecar};
use super::site::Site;
use crate::program::serve;

#[tokio::test]
async fn redis_and_daprs_own_take_over_from_each_other() {
    let test = "swap::redis_and_daprs_own_take_over_from_each_other";
    let Some((site, redis)) = Site::prepare_with_redis(test).await else {
        return;
    };
    site.keep_in_redis(&redis, "redis");
    let application = Application::willing().await;
    let launch = site.sidecar("shop").application(&application);
    if !has_redis(&launch).await {
        skip(
            &format!("daprd::{test}"),
            "the daprd has no component of its own for Redis",
        );
        return;
    }

    let sidecar = launch.start().await;
    turn(&sidecar, &application, 1).await;
    sidecar.stop().await;

    let mut ours = serve(site.sockets(), &["redis", "--http-listen=0"]).await;
    let probes = ours.says_field("address").await.parse().unwrap();
    let sidecar = launch.start().await;
    turn(&sidecar, &application, 2).await;
    turn(&sidecar, &application, 3).await;
    let served = HttpRequest::new("GET", "/metrics").send(probes).await;
    let served = served.text();
    for call in [
        "method=\"get\"} 2",
        "method=\"set\"} 2",
        "method=\"publish\"} 2",
    ] {
        assert!(served.contains(call), "{call}: {served}");
    }
    sidecar.stop().await;
    assert!(ours.stop().await.success(), "{}", ours.log());

    let sidecar = launch.start().await;
    turn(&sidecar, &application, 4).await;
    sidecar.stop().await;

    assert_eq!(application.data("/orders"), [1, 2, 3, 4].map(|n| json!(n)));
    let pending: (u64, Option<String>, Option<String>, Option<Vec<String>>) =
        redis.command(&["XPENDING", "orders", launch.id()]).await;
    assert_eq!(pending.0, 0, "{pending:?}");
}

/// What one runtime does: it goes on from the value before, with its etag, and its message comes.
async fn turn(sidecar: &Sidecar, application: &Application, number: u32) {
    let before = sidecar.get("/v1.0/state/store/count").await;
    let etag = before.header("etag").map(ToOwned::to_owned);
    assert_eq!(etag, (number > 1).then(|| (number - 1).to_string()));
    let mut item = json!({"key": "count", "value": number});
    if let Some(etag) = etag {
        assert_eq!(before.text(), (number - 1).to_string());
        item["etag"] = json!(etag);
    }
    let answer = sidecar.post("/v1.0/state/store", &json!([item])).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let publish = "/v1.0/publish/broker/orders";
    let answer = sidecar.post(publish, &json!(number)).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    application.gets("/orders", &json!(number), 1).await;
}

/// Whether the runtime has a component of its own for Redis: without a socket it then starts.
async fn has_redis(launch: &Launch<'_>) -> bool {
    loop {
        let mut sidecar = launch.spawn();
        eventually("a runtime is ready, or gives up", async || {
            !sidecar.process.is_running() || sidecar.is_healthy().await
        })
        .await;
        if sidecar.process.is_running() {
            sidecar.stop().await;
            return true;
        }
        sidecar.process.end().await;
        let log = sidecar.process.log();
        if !log.contains("address already in use") {
            assert!(log.contains("couldn't find"), "{log}");
            return false;
        }
    }
}
