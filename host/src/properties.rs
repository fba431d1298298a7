//! From the metadata of a resource to what its component's Init gets: templates filled in, variables and secrets fetched.

use std::collections::HashMap;

use dapr_pluggable::secret::{GetSecretRequest, Secret};
use dapr_pluggable::{Error, ErrorKind, Metadata, Result};
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use crate::environment::Environment;
use crate::registry::Components;
use crate::resource::{ComponentResource, SecretKeyRef};

/// What Dapr puts into a broker's metadata, spelled exactly so.
const CONSUMER_ID: &str = "consumerID";
/// The namespace of a host that has none, in templates.
const DEFAULT_NAMESPACE: &str = "default";

/// What resolving needs to know of the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) environment: &'a Environment,
}

/// The secret store that a resource has to wait for, if it has references and the store is not open; in words.
pub(crate) fn missing_secret_store(
    resource: &ComponentResource,
    components: &Components,
) -> Option<String> {
    let needs_store = resource.properties.iter().any(|property| {
        property.value.is_none() && property.env.is_none() && property.secret.is_some()
    });
    if !needs_store {
        return None;
    }
    let store = resource.secret_store.as_str();
    if store.is_empty() {
        return Some("a secret store: it has a secretKeyRef, but no auth.secretStore".to_owned());
    }
    components
        .secret_store(store)
        .is_none()
        .then(|| format!("the secret store {store}, which is not loaded"))
}

/// The properties for Init. A secret that cannot be had, and a variable that may not, is an empty value, as in Dapr, and
/// is warned about.
///
/// # Errors
/// [`InvalidSettings`](dapr_pluggable::ErrorKind::InvalidSettings) for `{podName}` without a pod name,
/// What [`is_away`] when the secret store is not there for now: the secret is, and no component shall be opened with an
/// empty password for it.
pub(crate) async fn resolve(
    resource: &ComponentResource,
    surroundings: Surroundings<'_>,
    components: &Components,
) -> Result<Metadata> {
    let mut secrets = Secrets {
        resource,
        components,
        fetched: HashMap::new(),
    };
    let mut resolved = Metadata::new();
    for property in &resource.properties {
        let name = property.name.as_str();
        let value = if let Some(value) = &property.value {
            fill(value, name, surroundings)?
        } else if let Some(variable) = &property.env {
            match surroundings.environment.get_for_resource(variable) {
                Ok(value) => fill(value, name, surroundings)?,
                Err(reason) => {
                    warn!(
                        component = %resource.identity, property = name,
                        "the environment variable {variable} is left empty: {reason}"
                    );
                    String::new()
                }
            }
        } else if let Some(reference) = &property.secret {
            // As it is: what looks like a template in a password is part of it.
            secrets.get(reference).await?
        } else {
            String::new()
        };
        resolved.insert(name, value);
    }
    if resource.identity.component_type.starts_with("pubsub.") {
        let configured = resolved.get(CONSUMER_ID).unwrap_or_default().trim();
        let consumer = match configured {
            "" => surroundings.app_id,
            configured => configured,
        };
        resolved.insert(CONSUMER_ID, consumer.to_owned());
    }
    Ok(resolved)
}

/// Whether a secret store cannot answer for now: it is not there, or has started again and waits for its Init.
pub(crate) fn is_away(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::NotOpened)
}

/// The secrets of one resource. Each is fetched once.
struct Secrets<'a> {
    resource: &'a ComponentResource,
    components: &'a Components,
    fetched: HashMap<&'a str, Option<Secret>>,
}

impl<'a> Secrets<'a> {
    async fn get(&mut self, reference: &'a SecretKeyRef) -> Result<String> {
        let SecretKeyRef { name, key } = reference;
        if !self.fetched.contains_key(name.as_str()) {
            let secret = self.fetch(name).await?;
            self.fetched.insert(name, secret);
        }
        let Some(Some(secret)) = self.fetched.get(name.as_str()) else {
            return Ok(String::new());
        };
        let value = secret.get(key).map_or_else(
            || {
                warn!(component = %self.resource.identity, "the secret {name} has no key {key}");
                String::new()
            },
            str::to_owned,
        );
        Ok(value)
    }

    async fn fetch(&self, name: &str) -> Result<Option<Secret>> {
        let store = &self.resource.secret_store;
        let Some(component) = self.components.secret_store(store) else {
            return Ok(None);
        };
        let mut request = GetSecretRequest::new(name);
        request
            .metadata
            .insert("namespace", self.resource.namespace.clone());
        let cap = self.resource.init_timeout;
        let error = match timeout(cap, component.store().get(request)).await {
            Ok(Ok(secret)) => return Ok(Some(secret)),
            Ok(Err(error)) if is_away(&error) => return Err(error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {cap:?}"),
        };
        warn!(component = %self.resource.identity, "the secret {name} cannot be had from {store}: {error}");
        Ok(None)
    }
}

/// Fills in the templates of a value.
fn fill(value: &str, property: &str, surroundings: Surroundings<'_>) -> Result<String> {
    let Surroundings {
        app_id,
        environment,
    } = surroundings;
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        rest = if let Some(rest) = from.strip_prefix("{uuid}") {
            filled.push_str(&Uuid::new_v4().to_string());
            rest
        } else if let Some(rest) = from.strip_prefix("{podName}") {
            filled.push_str(environment.get("POD_NAME").ok_or_else(|| {
                Error::invalid_settings(format!(
                    "invalid value for key {property:?}: it has {{podName}}, but the variable POD_NAME is not set"
                ))
            })?);
            rest
        } else if let Some(rest) = from.strip_prefix("{namespace}") {
            filled.push_str(environment.namespace().unwrap_or(DEFAULT_NAMESPACE));
            filled.push('.');
            filled.push_str(app_id);
            rest
        } else if let Some(rest) = from.strip_prefix("{appID}") {
            filled.push_str(app_id);
            rest
        } else {
            filled.push('{');
            from.get(1..).unwrap_or_default()
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;
