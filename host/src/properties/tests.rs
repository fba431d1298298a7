use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::{Blocks, Component, ErrorKind, InstanceId, Opener as _, async_trait};

use super::*;
use crate::registry::{Identity, OpenComponent, Registry, SecretComponent};
use crate::resource::Property;

fn resource(component_type: &str, properties: &[(&str, &str)]) -> ComponentResource {
    ComponentResource::new(
        Identity::new("res", component_type, "v1"),
        properties.iter().copied(),
    )
}

async fn resolved(resource: &ComponentResource, environment: &Environment) -> Result<Metadata> {
    let surroundings = Surroundings {
        app_id: "app",
        environment,
    };
    resolve(resource, surroundings, &Components::default()).await
}

#[tokio::test]
async fn templates_are_filled_in() {
    let environment = Environment::from([("POD_NAME", "pod-1"), ("NAMESPACE", "prod")]);
    for (value, with_namespace, without) in [
        ("{appID}", "app", "app"),
        ("{namespace}", "prod.app", "default.app"),
        (
            "a-{appID}-{namespace}-b",
            "a-app-prod.app-b",
            "a-app-default.app-b",
        ),
        ("{podName}", "pod-1", "pod-1"),
        (
            "{appid} {other} {",
            "{appid} {other} {",
            "{appid} {other} {",
        ),
        ("{{appID}}", "{app}", "{app}"),
        ("", "", ""),
    ] {
        let resource = resource("state.x", &[("p", value)]);
        for (environment, expected) in [
            (environment.clone(), with_namespace),
            (Environment::from([("POD_NAME", "pod-1")]), without),
        ] {
            let metadata = resolved(&resource, &environment).await.unwrap();
            assert_eq!(metadata, Metadata::from([("p", expected)]), "{value}");
        }
    }
}

#[tokio::test]
async fn every_uuid_is_another() {
    let resource = resource("state.x", &[("a", "{uuid} {uuid}"), ("b", "{uuid}")]);
    let metadata = resolved(&resource, &Environment::new()).await.unwrap();
    let seen: HashSet<Uuid> = ["a", "b"]
        .into_iter()
        .flat_map(|name| metadata.get(name).unwrap().split(' '))
        .map(|text| text.parse().unwrap())
        .collect();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|uuid| uuid.get_version_num() == 4));
}

#[tokio::test]
async fn a_pod_name_that_is_not_known_is_an_error() {
    let resource = resource("state.x", &[("host", "{podName}")]);
    let error = resolved(&resource, &Environment::new()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    assert!(error.to_string().contains("\"host\""), "{error}");
    assert!(error.to_string().contains("POD_NAME"), "{error}");
}

#[tokio::test]
async fn brokers_get_a_consumer_id() {
    for (properties, expected) in [
        (&[][..], "app"),
        (&[("consumerID", "  ")], "app"),
        (&[("consumerID", " group ")], "group"),
        (&[("consumerID", "{namespace}")], "default.app"),
    ] {
        let metadata = resolved(&resource("pubsub.x", properties), &Environment::new())
            .await
            .unwrap();
        assert_eq!(metadata, Metadata::from([("consumerID", expected)]));
    }
    // Another spelling is another property, and other components get none.
    let metadata = resolved(
        &resource("pubsub.x", &[("consumerid", "group")]),
        &Environment::new(),
    )
    .await
    .unwrap();
    assert_eq!(metadata.get("consumerID"), Some("app"));
    assert_eq!(metadata.get("consumerid"), Some("group"));
    let metadata = resolved(&resource("state.x", &[]), &Environment::new())
        .await
        .unwrap();
    assert!(metadata.is_empty());
}

fn from_env(name: &str, variable: &str) -> Property {
    Property {
        name: name.to_owned(),
        value: None,
        secret: None,
        env: Some(variable.to_owned()),
    }
}

#[tokio::test]
async fn variables_are_read_unless_there_is_a_value() {
    let environment = Environment::from([("REGION", "eu-{appID}"), ("DAPR_API_TOKEN", "t")]);
    let mut resource = resource("state.x", &[]);
    resource.properties = vec![
        from_env("region", "REGION"),
        from_env("token", "DAPR_API_TOKEN"),
        from_env("unset", "UNSET"),
        Property {
            value: Some("own".to_owned()),
            ..from_env("both", "REGION")
        },
    ];
    let metadata = resolved(&resource, &environment).await.unwrap();
    assert_eq!(
        metadata,
        Metadata::from([
            ("region", "eu-app"),
            ("token", ""),
            ("unset", ""),
            ("both", "own")
        ])
    );
}

/// A vault with one secret, that notes what it is asked for.
#[derive(Clone, Default)]
struct Vault {
    asked: Arc<Mutex<Vec<GetSecretRequest>>>,
}

#[async_trait]
impl Component for Vault {}

#[async_trait]
impl SecretStore for Vault {
    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        let name = request.name.clone();
        self.asked.lock().unwrap().push(request);
        match name.as_str() {
            "db" => Ok([("user", "u"), ("pass", "{appID}"), ("db", "own")]
                .into_iter()
                .collect()),
            "slow" => std::future::pending().await,
            _ => Err(Error::new(ErrorKind::NotFound, format!("no secret {name}"))),
        }
    }
}

async fn with_vault(vault: &Vault) -> Arc<Components> {
    let copy = vault.clone();
    let store = Blocks::new()
        .secret_store_from(move || copy.clone())
        .open_secret_store(&InstanceId::new("vault"), &Metadata::new())
        .await
        .unwrap();
    let registry = Registry::new();
    let component = SecretComponent::new(Identity::new("vault", "secretstores.x", "v1"), store);
    registry.add(OpenComponent::SecretStore(Arc::new(component)));
    registry.components()
}

fn from_secret(property: &str, name: &str, key: &str) -> Property {
    Property {
        name: property.to_owned(),
        value: None,
        secret: Some(SecretKeyRef {
            name: name.to_owned(),
            key: key.to_owned(),
        }),
        env: None,
    }
}

#[tokio::test(start_paused = true)]
async fn each_secret_is_fetched_once_and_what_is_missing_is_empty() {
    let vault = Vault::default();
    let components = with_vault(&vault).await;
    let mut resource = resource("state.x", &[]);
    resource.namespace = "prod".to_owned();
    resource.secret_store = "vault".to_owned();
    resource.init_timeout = Duration::from_millis(200);
    resource.properties = vec![
        from_secret("user", "db", "user"),
        from_secret("pass", "db", "pass"),
        from_secret("same", "db", "db"),
        from_secret("no-key", "db", "none"),
        from_secret("no-secret", "other", "other"),
        from_secret("again", "other", "key"),
        from_secret("late", "slow", "slow"),
    ];
    assert_eq!(missing_secret_store(&resource, &components), None);
    let environment = Environment::new();
    let surroundings = Surroundings {
        app_id: "app",
        environment: &environment,
    };
    let metadata = resolve(&resource, surroundings, &components).await.unwrap();
    assert_eq!(
        metadata,
        Metadata::from([
            ("user", "u"),
            // Not a template: it is a password.
            ("pass", "{appID}"),
            ("same", "own"),
            ("no-key", ""),
            ("no-secret", ""),
            ("again", ""),
            ("late", ""),
        ])
    );
    let asked = vault.asked.lock().unwrap();
    let names: Vec<&str> = asked.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["db", "other", "slow"]);
    assert_eq!(asked[0].metadata, Metadata::from([("namespace", "prod")]));
}

#[tokio::test]
async fn a_store_that_is_not_loaded_is_named() {
    let mut resource = resource("state.x", &[("plain", "p")]);
    let none = Components::default();
    resource.secret_store = "nowhere".to_owned();
    // Without a reference nothing is missing.
    assert_eq!(missing_secret_store(&resource, &none), None);
    resource.properties.push(Property {
        value: Some("v".to_owned()),
        ..from_secret("both", "db", "user")
    });
    assert_eq!(missing_secret_store(&resource, &none), None);
    resource.properties.push(from_secret("pass", "db", "pass"));
    let reason = missing_secret_store(&resource, &none).unwrap();
    assert!(reason.contains("nowhere"), "{reason}");
    resource.secret_store.clear();
    let reason = missing_secret_store(&resource, &none).unwrap();
    assert!(reason.contains("auth.secretStore"), "{reason}");
}
