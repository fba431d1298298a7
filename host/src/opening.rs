//! Opening one component, in its time: Dapr's Init.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::{Block, Component, Error, ErrorKind, InstanceId, Metadata, Opener, Result};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::key_prefix::{KeyPrefix, PrefixContext};
use crate::properties::Surroundings;
use crate::registry::{
    BindingComponent, OpenComponent, PubSubComponent, SecretComponent, StateComponent,
};
use crate::resource::ComponentResource;
use crate::target::Category;

const KEY_PREFIX: &str = "keyPrefix";
const DIRECTION: &str = "direction";
const ENCRYPTION_KEYS: [&str; 2] = ["primaryEncryptionKey", "secondaryEncryptionKey"];

/// How long a component may take to close.
const CLOSE_CAP: Duration = Duration::from_secs(5);

/// A component where it was found: how to open its building blocks, and which there are.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) opener: &'a dyn Opener,
    pub(crate) blocks: &'a [Block],
    /// Whether it is behind a socket.
    pub(crate) is_remote: bool,
}

/// Fails for a state store whose values would have to be encrypted: this host cannot, and never writes them in the clear.
pub(crate) fn refuse_encryption(resource: &ComponentResource, category: Category) -> Result<()> {
    let key = resource.properties.iter().find(|property| {
        ENCRYPTION_KEYS
            .iter()
            .any(|key| property.name.eq_ignore_ascii_case(key))
    });
    match key {
        Some(property) if category == Category::State => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the metadata {} asks for encryption, which this host does not have yet: it would write the values \
                 unencrypted, so the state store is not opened",
                property.name
            ),
        )),
        _ => Ok(()),
    }
}

/// Opens what a resource describes, within its `initTimeout`.
pub(crate) async fn open(
    resource: &ComponentResource,
    category: Category,
    surroundings: Surroundings<'_>,
    properties: &Metadata,
    place: Place<'_>,
) -> Result<OpenComponent> {
    let Place {
        opener,
        blocks,
        is_remote,
    } = place;
    let identity = resource.identity.clone();
    let instance = InstanceId::new(identity.name.as_str());
    let limit = Limit::of(resource);
    Ok(match category {
        Category::State => {
            let context = PrefixContext {
                app_id: surroundings.app_id,
                component: &identity.name,
                namespace: surroundings.environment.namespace(),
            };
            let prefix = KeyPrefix::new(properties.get_ignore_case(KEY_PREFIX), context)?;
            let opening = opener.open_state_store(&instance, properties);
            let store = limit.apply(opening).await?;
            let component = StateComponent::new(identity, store, prefix);
            OpenComponent::StateStore(Arc::new(if is_remote {
                component.remote()
            } else {
                component
            }))
        }
        Category::PubSub => {
            let opening = opener.open_pubsub(&instance, properties);
            let pubsub = limit.apply(opening).await?;
            OpenComponent::PubSub(Arc::new(PubSubComponent::new(identity, pubsub)))
        }
        Category::SecretStores => {
            let opening = opener.open_secret_store(&instance, properties);
            let store = limit.apply(opening).await?;
            OpenComponent::SecretStore(Arc::new(SecretComponent::new(identity, store)))
        }
        Category::Bindings => {
            let directions = Directions::of(properties)?;
            let input = if directions.input && blocks.contains(&Block::InputBinding) {
                let opening = opener.open_input_binding(&instance, properties);
                Some(limit.apply(opening).await?)
            } else {
                None
            };
            let output = if directions.output && blocks.contains(&Block::OutputBinding) {
                let opening = opener.open_output_binding(&instance, properties);
                match limit.apply(opening).await {
                    Ok(output) => Some(output),
                    Err(error) => {
                        if let Some(input) = &input {
                            close(&resource.identity.to_string(), input.as_ref()).await;
                        }
                        return Err(error);
                    }
                }
            } else {
                None
            };
            if input.is_none() && output.is_none() {
                return Err(Error::invalid_settings(format!(
                    "couldn't find binding {}/{} with the direction that its metadata has",
                    identity.component_type, identity.version
                )));
            }
            OpenComponent::Binding(Arc::new(BindingComponent::new(identity, input, output)))
        }
    })
}

/// The `initTimeout` of a component: for its sides together, but not for the end of one whose other side is late.
struct Limit<'a> {
    resource: &'a ComponentResource,
    begun: Instant,
}

impl<'a> Limit<'a> {
    fn of(resource: &'a ComponentResource) -> Self {
        Self {
            resource,
            begun: Instant::now(),
        }
    }

    async fn apply<T>(&self, opening: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.resource.init_timeout;
        let left = left.saturating_sub(self.begun.elapsed());
        let opened = timeout(left, opening).await;
        opened.unwrap_or_else(|_| {
            let ComponentResource {
                identity,
                init_timeout,
                ..
            } = self.resource;
            Err(Error::new(
                ErrorKind::TimedOut,
                format!("init timeout for component {identity}: no answer within {init_timeout:?}"),
            ))
        })
    }
}

/// Closes something, in its time. What goes wrong is logged.
pub(crate) async fn close<C: Component + ?Sized>(what: &str, component: &C) {
    match timeout(CLOSE_CAP, component.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(component = what, %error, "cannot close"),
        Err(_) => warn!(component = what, "does not close within {CLOSE_CAP:?}"),
    }
}

/// Closes a component, in its time. What goes wrong is logged.
pub(crate) async fn close_component(component: &OpenComponent) {
    let name = component.identity().to_string();
    match component {
        OpenComponent::StateStore(state) => close(&name, state.store().as_ref()).await,
        OpenComponent::PubSub(pubsub) => close(&name, pubsub.pubsub().as_ref()).await,
        OpenComponent::SecretStore(secret) => close(&name, secret.store().as_ref()).await,
        OpenComponent::Binding(binding) => {
            if let Some(input) = binding.input() {
                close(&name, input.as_ref()).await;
            }
            if let Some(output) = binding.output() {
                close(&name, output.as_ref()).await;
            }
        }
    }
}

/// The sides of a binding that its metadata asks for; both where it does not say.
struct Directions {
    input: bool,
    output: bool,
}

impl Directions {
    fn of(properties: &Metadata) -> Result<Self> {
        let Some(text) = properties.get_ignore_case(DIRECTION) else {
            return Ok(Self {
                input: true,
                output: true,
            });
        };
        let has = |side: &str| {
            text.split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(side))
        };
        let directions = Self {
            input: has("input"),
            output: has("output"),
        };
        if !directions.input && !directions.output {
            return Err(Error::invalid_settings(format!(
                "invalid value {text:?} for key {DIRECTION:?}: expected input, output, or both with a comma"
            )));
        }
        Ok(directions)
    }
}
