//! The compose file.

use serde_json::{Value, json};

use crate::component::{check_grace, check_names, seconds, start_ask_and_stop};
use crate::files::{words, yaml};

const FOLDER: &str = "/tmp/dapr-components-sockets";

fn services() -> Value {
    yaml("compose/compose.yaml").remove(0)
}

/// What a service has mounted somewhere.
fn mounted(service: &Value, target: &str) -> String {
    let mounts = words(&service["volumes"]);
    let mut pairs = mounts.iter().filter_map(|mount| mount.split_once(':'));
    let found = pairs.find(|(_, at)| at.split(':').next() == Some(target));
    found
        .unwrap_or_else(|| panic!("nothing is mounted at {target}"))
        .0
        .to_owned()
}

#[test]
fn daprd_comes_after_the_component_and_shares_its_folder() {
    let file = services();
    let (component, daprd) = (&file["services"]["sqlite"], &file["services"]["daprd"]);
    assert_eq!(
        daprd["depends_on"]["sqlite"]["condition"],
        "service_healthy"
    );
    assert_eq!(daprd["restart"], "on-failure");
    let sockets = mounted(component, FOLDER);
    assert_eq!(mounted(daprd, FOLDER), sockets);
    for volume in [sockets, mounted(component, "/var/lib/dapr-component")] {
        let volumes = file["volumes"].as_object().unwrap();
        assert!(volumes.contains_key(&volume), "{volume}");
    }
    let resources = mounted(daprd, "/resources");
    let command = words(&daprd["command"]);
    assert_eq!(command.last().unwrap(), "/resources");
    assert_eq!(resources, "./resources");
}

#[test]
fn the_component_has_no_more_rights_than_it_needs() {
    let component = &services()["services"]["sqlite"];
    assert_eq!(component["user"], "65532:65532");
    assert_eq!(component["read_only"], true);
    assert_eq!(component["cap_drop"], json!(["ALL"]));
    assert_eq!(component["security_opt"], json!(["no-new-privileges:true"]));
    assert!(component["mem_limit"].is_string());
    let grace = seconds(component["stop_grace_period"].as_str().unwrap());
    check_grace(&words(&component["command"]), grace);
}

#[tokio::test]
async fn the_component_starts_answers_and_stops() {
    let component = &services()["services"]["sqlite"];
    let mut check = words(&component["healthcheck"]["test"]);
    assert_eq!(check.remove(0), "CMD");
    let arguments = words(&component["command"]);
    let resource = yaml("compose/resources/statestore.yaml").remove(0);
    check_names(&resource, &arguments, &check);
    start_ask_and_stop(&arguments, &check).await;
}
