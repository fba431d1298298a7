//! What every building block has in common: a life that begins with [`Open`] and ends with [`Component::close`].

use std::fmt;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::settings::{Aliases, Rules};

/// The life of an open component. A value exists only after a successful open, so nothing here or in a building
/// block has to ask whether Init has happened.
#[async_trait]
pub trait Component: Send + Sync + 'static {
    /// Whether the backend answers now. The default says yes.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the backend does not answer.
    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    /// Gives up what the value holds. Called once, after the calls in flight, when another Init of the same
    /// runtime replaced the value, when that runtime is gone and another has a newer one, or when the process stops. It
    /// has 5 s, then it is dropped.
    ///
    /// # Errors
    /// Whatever went wrong; it is logged, the value is dropped all the same.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// How a component value comes to be: Dapr's Init, with the metadata already decoded.
#[async_trait]
pub trait Open: Component + Sized {
    /// The metadata of the component's resource file, as a type. `()` where there is none.
    type Settings: DeserializeOwned + Send + 'static;

    /// How numbers, booleans and durations are written in the metadata.
    const RULES: Rules = Rules::Lenient;

    /// Other names of settings, such as `url` for `connectionString`.
    const ALIASES: Aliases = &[];

    /// Whether two values with the same metadata cannot be open at once (a port, a lock file). The old value is
    /// then closed before the new one opens; the metadata is decoded first, so a typing error closes nothing.
    const EXCLUSIVE: bool = false;

    /// Opens a value for the instance, which is the `metadata.name` of the component's resource file.
    ///
    /// # Errors
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for metadata that decodes but makes no sense,
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the backend does not answer.
    async fn open(settings: Self::Settings, instance: &InstanceId) -> Result<Self>;
}

/// The name of a component instance: `metadata.name` of its resource file, sent by the runtime in the header
/// `x-component-instance` of every call. Empty is legal and means the default instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(String);

impl InstanceId {
    /// The instance of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name; empty for the default instance.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InstanceId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The five building blocks that a pluggable component can have.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Block {
    /// `state.*`
    StateStore,
    /// `pubsub.*`
    PubSub,
    /// `bindings.*`, events in
    InputBinding,
    /// `bindings.*`, calls out
    OutputBinding,
    /// `secretstores.*`
    SecretStore,
}

impl Block {
    /// Every building block.
    pub const ALL: [Self; 5] = [
        Self::StateStore,
        Self::PubSub,
        Self::InputBinding,
        Self::OutputBinding,
        Self::SecretStore,
    ];

    /// The gRPC service by which a runtime recognises it.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::StateStore => "dapr.proto.components.v1.StateStore",
            Self::PubSub => "dapr.proto.components.v1.PubSub",
            Self::InputBinding => "dapr.proto.components.v1.InputBinding",
            Self::OutputBinding => "dapr.proto.components.v1.OutputBinding",
            Self::SecretStore => "dapr.proto.components.v1.SecretStore",
        }
    }

    /// The first half of a component type: `state` of `state.redis`.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::StateStore => "state",
            Self::PubSub => "pubsub",
            Self::InputBinding | Self::OutputBinding => "bindings",
            Self::SecretStore => "secretstores",
        }
    }

    /// The name for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StateStore => "state_store",
            Self::PubSub => "pubsub",
            Self::InputBinding => "input_binding",
            Self::OutputBinding => "output_binding",
            Self::SecretStore => "secret_store",
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
