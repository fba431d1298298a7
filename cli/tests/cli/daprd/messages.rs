//! Publish and subscribe.

use dapr_pluggable_testbed::{Process, eventually};
use serde_json::{Value, json};

use super::application::{Application, DONE, Delivery, FAILED};
use super::resources::{component, redis_of_dapr, subscription};
use super::site::Site;
use crate::program::{serve, text};

#[tokio::test]
async fn memory_delivers_messages() {
    if let Some(site) = Site::prepare("messages::memory_delivers_messages") {
        let component = site.serve("memory").await;
        let metadata = [("redeliverInterval", "10ms")];
        delivers(&site, component, "pubsub.memory-local", &metadata).await;
    }
}

#[tokio::test]
async fn sqlite_delivers_messages() {
    if let Some(site) = Site::prepare("messages::sqlite_delivers_messages") {
        let file = site.file("messages.db");
        let metadata = [
            ("connectionString", text(&file)),
            ("redeliverInterval", "10ms"),
        ];
        let component = site.serve("sqlite").await;
        delivers(&site, component, "pubsub.sqlite-local", &metadata).await;
    }
}

#[tokio::test]
async fn redis_delivers_messages_for_the_resource_file_of_daprs_own() {
    let test = "messages::redis_delivers_messages_for_the_resource_file_of_daprs_own";
    let Some((site, redis)) = Site::prepare_with_redis(test).await else {
        return;
    };
    let component = serve(site.sockets(), &["redis"]).await;
    let host = redis.host();
    let mut metadata = redis_of_dapr(&host).to_vec();
    metadata.extend([
        ("processingTimeout", "500ms"),
        ("redeliverInterval", "100"),
        // What no other has: a rejected message comes again.
        ("nackPolicy", "redeliver"),
    ]);
    delivers(&site, component, "pubsub.redis", &metadata).await;
}

async fn delivers(
    site: &Site,
    mut process: Process,
    component_type: &str,
    metadata: &[(&str, &str)],
) {
    site.write_resources(&[
        component("broker", component_type, metadata),
        subscription("broker", "orders"),
        subscription("broker", "bulk"),
    ]);
    let application = Application::start(|delivery: Delivery| async move {
        match (delivery.data().as_str(), delivery.attempt) {
            (Some("fails once"), 1) => FAILED,
            (Some("wants to come again"), 1) => (200, r#"{"status":"RETRY"}"#),
            (Some("fails twice"), 1 | 2) => FAILED,
            (Some("is dropped"), 1) => (200, r#"{"status":"DROP"}"#),
            _ => DONE,
        }
    })
    .await;
    let sidecar = site.sidecar("shop").application(&application).start().await;

    sidecar.publish("broker", "orders", "first").await;
    let delivery = application.gets("/orders", &json!("first"), 1).await;
    for (field, expected) in [
        ("pubsubname", "broker"),
        ("topic", "orders"),
        ("source", sidecar.app_id()),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(delivery.body[field], expected, "{field}: {delivery:?}");
    }

    for (data, attempts) in [
        ("fails once", 2),
        ("wants to come again", 2),
        ("fails twice", 3),
        ("is dropped", 1),
    ] {
        sidecar.publish("broker", "orders", data).await;
        application.gets("/orders", &json!(data), attempts).await;
    }

    let entry = |id: u32| json!({"entryId": id.to_string(), "event": {"n": id}, "contentType": "application/json"});
    let entries = json!([entry(1), entry(2), entry(3)]);
    let path = "/v1.0-alpha1/publish/bulk/broker/bulk";
    let answer = sidecar.post(path, &entries).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    application.gets("/bulk", &json!({"n": 3}), 1).await;
    let came: Vec<Value> = application.data("/bulk");
    assert_eq!(came, [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]);

    // What was handled, or dropped, stays so.
    sidecar.publish("broker", "orders", "last").await;
    application.gets("/orders", &json!("last"), 1).await;
    sidecar.stop().await;
    assert_eq!(
        application.deliveries("/orders").len(),
        10,
        "{:?}",
        application.data("/orders")
    );
    assert!(process.stop().await.success(), "{}", process.log());
}

#[tokio::test]
async fn two_runtimes_of_two_applications_both_get_every_message() {
    let test = "messages::two_runtimes_of_two_applications_both_get_every_message";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    let _component = site.serve("memory").await;
    site.write_resources(&[
        component("broker", "pubsub.memory-local", &[]),
        subscription("broker", "orders"),
    ]);
    let (shop, billing) = tokio::join!(Application::willing(), Application::willing());
    let launch = site.sidecar("shop").application(&shop);
    let first = launch.start().await;
    first.publish("broker", "orders", "early").await;
    shop.gets("/orders", &json!("early"), 1).await;
    let launch = site.sidecar("billing").application(&billing);
    let second = launch.start().await;
    // Who has not subscribed yet misses what the other one gets.
    let mut number = 0;
    eventually("billing has subscribed", async || {
        number += 1;
        second
            .publish("broker", "orders", &format!("number {number}"))
            .await;
        !billing.data("/orders").is_empty()
    })
    .await;
    for (publisher, data) in [(&first, "from the shop"), (&second, "from billing")] {
        publisher.publish("broker", "orders", data).await;
        shop.gets("/orders", &json!(data), 1).await;
        billing.gets("/orders", &json!(data), 1).await;
    }
    // The end of the one is nothing to the other.
    first.stop().await;
    second.publish("broker", "orders", "alone").await;
    billing.gets("/orders", &json!("alone"), 1).await;
    second.stop().await;
    assert!(!shop.data("/orders").contains(&json!("alone")));
}
