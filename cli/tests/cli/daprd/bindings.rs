//! Bindings.

use serde_json::json;

use super::application::{Application, DONE, Delivery, FAILED};
use super::resources::component;
use super::site::Site;

#[tokio::test]
async fn what_goes_out_comes_in_until_it_is_handled() {
    let Some(site) = Site::prepare("bindings::what_goes_out_comes_in_until_it_is_handled") else {
        return;
    };
    let _component = site.serve("memory").await;
    let metadata = [("redeliverInterval", "10ms"), ("route", "/in")];
    site.write_resources(&[component("events", "bindings.memory-local", &metadata)]);
    let application = Application::start(|delivery: Delivery| async move {
        if delivery.data() == "fails once" && delivery.attempt == 1 {
            FAILED
        } else {
            DONE
        }
    })
    .await;
    let sidecar = site.sidecar("shop").application(&application).start().await;

    for (data, attempt) in [(json!({"n": 1}), 1), (json!("fails once"), 2)] {
        let create = json!({"operation": "create", "data": data});
        let answer = sidecar.post("/v1.0/bindings/events", &create).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        application.gets("/in", &data, attempt).await;
    }
    let unknown = json!({"operation": "burn", "data": 1});
    let answer = sidecar.post("/v1.0/bindings/events", &unknown).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.text().contains("burn"), "{answer:?}");
    sidecar.stop().await;
    assert_eq!(application.deliveries("/in").len(), 3);
}
