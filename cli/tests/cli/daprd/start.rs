//! How runtimes find components.

use std::collections::BTreeSet;

use dapr_pluggable_testbed::{HttpRequest, Signal, eventually, within};
use serde_json::{Value, json};

use super::resources::component;
use super::site::Site;
use crate::program::{pluggable, run, text};

#[tokio::test]
async fn the_types_that_inspect_names_are_those_that_the_runtime_has() {
    let test = "start::the_types_that_inspect_names_are_those_that_the_runtime_has";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    let _memory = site.serve("memory").await;
    let _sqlite = site.serve("sqlite").await;
    let folder = ["--sockets-folder", text(site.sockets())];
    let ended = run(["inspect", "--output=json"].iter().chain(&folder)).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let sockets = report["sockets"].as_array().unwrap().iter();
    let types = sockets.flat_map(|socket| socket["types"].as_array().unwrap());
    let types: BTreeSet<&str> = types.map(|name| name.as_str().unwrap()).collect();
    assert_eq!(types.len(), 6, "{types:?}");

    let file = site.file("data.db");
    let metadata = [("connectionString", text(&file))];
    let named = types.iter().map(|name| component(name, name, &metadata));
    let mut resources: Vec<Value> = named.collect();
    site.write_resources(&resources);
    let sidecar = site.sidecar("shop").start().await;
    let answer = sidecar.get("/v1.0/metadata").await;
    let has: Value = serde_json::from_slice(&answer.body).unwrap();
    let has = has["components"].as_array().unwrap().iter();
    let has: BTreeSet<&str> = has
        .map(|component| component["type"].as_str().unwrap())
        .collect();
    assert_eq!(has, types);
    sidecar.stop().await;

    // One that is not named, the runtime does not have.
    resources.push(component("other", "bindings.sqlite-local", &[]));
    site.write_resources(&resources);
    let mut sidecar = site.sidecar("shop").spawn();
    assert_eq!(sidecar.process.code().await, 1);
    sidecar.process.says("bindings.sqlite-local").await;
}

#[tokio::test]
async fn a_runtime_is_started_and_stopped_with_its_component() {
    let test = "start::a_runtime_is_started_and_stopped_with_its_component";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    site.write_resources(&[component("store", "state.memory-local", &[])]);
    let launch = site.sidecar("shop");
    let serve = || {
        let mut command = pluggable(["serve", "memory", "--as", "memory-local"]);
        command
            .arg("--sockets-folder")
            .arg(site.sockets())
            .arg("--");
        command
    };
    let mut sidecar = launch.start_by(serve).await;
    let items = json!([{"key": "k", "value": "v"}]);
    let answer = sidecar.post("/v1.0/state/store", &items).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(sidecar.get("/v1.0/state/store/k").await.text(), "\"v\"");
    sidecar.process.signal(Signal::TERM);
    sidecar.stopped().await;
    let gone = HttpRequest::new("GET", "/v1.0/healthz");
    let refused = within("a refusal", gone.try_send(sidecar.address())).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(!is_there(&site));

    // A runtime that asks to stop stops the component, too.
    let mut sidecar = launch.start_by(serve).await;
    let answer = sidecar.post("/v1.0/shutdown", &json!({})).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    sidecar.stopped().await;
    assert!(!is_there(&site));
}

#[tokio::test]
async fn a_socket_that_a_kill_left_behind_holds_a_runtime_up_until_it_is_served() {
    let test = "start::a_socket_that_a_kill_left_behind_holds_a_runtime_up_until_it_is_served";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    site.write_resources(&[component("store", "state.memory-local", &[])]);
    let mut component = site.serve("memory").await;
    component.signal(Signal::KILL);
    component.end().await;
    assert!(is_there(&site));
    let folder = ["--sockets-folder", text(site.sockets())];
    let ended = run(["inspect"].iter().chain(&folder)).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("daprd would hang here"), "{ended:?}");

    let mut sidecar = site.sidecar("shop").spawn();
    sidecar.process.says("Starting Dapr Runtime").await;
    let mut component = site.serve("memory").await;
    eventually("the runtime goes on", async || {
        assert!(sidecar.process.is_running(), "{}", sidecar.process.log());
        sidecar.is_healthy().await
    })
    .await;
    assert_eq!(sidecar.get("/v1.0/state/store/k").await.status, 204);
    sidecar.stop().await;
    assert!(component.stop().await.success(), "{}", component.log());
}

/// Whether there is a socket of the component.
fn is_there(site: &Site) -> bool {
    let socket = site.sockets().join("memory-local.sock");
    socket.try_exists().unwrap()
}
