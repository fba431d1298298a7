//! The three forms for Kubernetes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::component::{check_grace, check_names, flag, start_ask_and_stop};
use crate::files::{named, of_kind, words, yaml};

const FORMS: [&str; 3] = [
    "kubernetes/1-native-sidecar.yaml",
    "kubernetes/2-own-container.yaml",
    "kubernetes/3-injected.yaml",
];
const SOCKETS: &str = "/tmp/dapr-components-sockets";
const DATA: &str = "/var/lib/dapr-component";

fn pod(documents: &[Value]) -> &Value {
    &of_kind(documents, "Deployment")["spec"]["template"]
}

/// The component's container, as the form has it.
fn container(documents: &[Value]) -> Value {
    let spec = &pod(documents)["spec"];
    for list in ["initContainers", "containers"] {
        let containers = spec[list].as_array().into_iter().flatten();
        if let Some(found) = containers.clone().find(|one| one["name"] == "sqlite") {
            return found.clone();
        }
    }
    let component = of_kind(documents, "Component");
    let annotation = &component["metadata"]["annotations"]["dapr.io/component-container"];
    serde_json::from_str(annotation.as_str().expect("a container in the annotation")).unwrap()
}

#[test]
fn every_container_has_no_more_rights_than_it_needs() {
    for form in FORMS {
        let documents = yaml(form);
        let container = container(&documents);
        let context = json!({
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(container["securityContext"], context, "{form}");
        for bound in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                let amount = &container["resources"][bound][resource];
                assert!(amount.is_string(), "{form}: {bound} of {resource}");
            }
        }
        // A probe that restarts the component would lose the Init, and its readiness is daprd's affair.
        assert!(container["livenessProbe"].is_null(), "{form}");
        assert!(container["readinessProbe"].is_null(), "{form}");
        assert_eq!(container["image"], "dapr-component-sqlite:latest", "{form}");
    }
}

#[test]
fn volumes_are_there_and_hold_what_the_component_keeps() {
    for form in FORMS {
        let documents = yaml(form);
        let (pod, container) = (pod(&documents), container(&documents));
        assert_eq!(pod["spec"]["securityContext"]["fsGroup"], 65532, "{form}");
        for mount in container["volumeMounts"].as_array().unwrap() {
            named(&pod["spec"]["volumes"], mount["name"].as_str().unwrap());
        }
        let mounts = &container["volumeMounts"];
        assert_eq!(named(mounts, "data")["mountPath"], DATA, "{form}");
        let component = of_kind(&documents, "Component");
        let database = component["spec"]["metadata"][0]["value"].as_str().unwrap();
        assert!(database.starts_with(DATA), "{form}: {database}");
        let volume = named(&pod["spec"]["volumes"], "data");
        let claim = &of_kind(&documents, "PersistentVolumeClaim")["metadata"]["name"];
        assert_eq!(&volume["persistentVolumeClaim"]["claimName"], claim);
    }
}

#[test]
fn the_pod_has_time_to_stop() {
    for form in FORMS {
        let documents = yaml(form);
        let grace = &pod(&documents)["spec"]["terminationGracePeriodSeconds"];
        let grace = Duration::from_secs(grace.as_u64().expect(form));
        check_grace(&words(&container(&documents)["args"]), grace);
    }
}

#[test]
fn the_application_may_use_the_component() {
    for form in FORMS {
        let documents = yaml(form);
        let annotations = &pod(&documents)["metadata"]["annotations"];
        assert_eq!(annotations["dapr.io/enabled"], "true", "{form}");
        let scopes = &of_kind(&documents, "Component")["scopes"];
        assert_eq!(scopes, &json!([annotations["dapr.io/app-id"]]), "{form}");
        let arguments = words(&container(&documents)["args"]);
        assert_eq!(flag(&arguments, "--on-lost-init"), "shutdown", "{form}");
    }
}

#[tokio::test]
async fn a_native_sidecar_is_served_before_daprd_starts() {
    let documents = yaml(FORMS[0]);
    let (pod, container) = (pod(&documents), container(&documents));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["dapr.io/enable-native-sidecar"], "true");
    assert_eq!(pod["spec"]["initContainers"][0], container);
    assert_eq!(container["restartPolicy"], "Always");
    let shared = &annotations["dapr.io/volume-mounts-rw"];
    let (volume, folder) = shared.as_str().unwrap().split_once(':').unwrap();
    assert_eq!(folder, SOCKETS);
    assert_eq!(
        named(&pod["spec"]["volumes"], volume)["emptyDir"],
        json!({})
    );
    let mount = named(&container["volumeMounts"], volume);
    assert_eq!(mount["mountPath"], SOCKETS);
    let probe = &container["startupProbe"];
    let command = words(&probe["exec"]["command"]);
    let arguments = words(&container["args"]);
    check_names(of_kind(&documents, "Component"), &arguments, &command);
    start_ask_and_stop(&arguments, &command).await;
    // One look of the program takes 5 s at most.
    assert!(probe["timeoutSeconds"].as_u64() > Some(5));
}

#[tokio::test]
async fn a_container_of_the_pod_is_waited_for() {
    let documents = yaml(FORMS[1]);
    let (pod, container) = (pod(&documents), container(&documents));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        annotations["dapr.io/pluggable-components"],
        container["name"]
    );
    assert_eq!(annotations["dapr.io/enable-native-sidecar"], "false");
    let command = words(&container["lifecycle"]["postStart"]["exec"]["command"]);
    let arguments = words(&container["args"]);
    check_names(of_kind(&documents, "Component"), &arguments, &command);
    assert!(command.contains(&"--wait".to_owned()));
    start_ask_and_stop(&arguments, &command).await;
}

#[tokio::test]
async fn an_injected_container_is_asked_for() {
    let documents = yaml(FORMS[2]);
    let (pod, container) = (pod(&documents), container(&documents));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["dapr.io/inject-pluggable-components"], "true");
    assert_eq!(annotations["dapr.io/enable-native-sidecar"], "false");
    assert!(annotations["dapr.io/pluggable-components"].is_null());
    let arguments = words(&container["args"]);
    let probe = ["/usr/local/bin/pluggable", "health", "sqlite-fast"].map(str::to_owned);
    check_names(of_kind(&documents, "Component"), &arguments, &probe);
    start_ask_and_stop(&arguments, &probe).await;
}
