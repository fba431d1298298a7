//! Opening components, wherever they are: in this process ([`Blocks`](crate::Blocks)) or behind a socket
//! (a client). Hosts, checks and tools are written once, against [`Opener`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::binding::{InputBinding, OutputBinding};
use crate::component::InstanceId;
use crate::error::Result;
use crate::metadata::Metadata;
use crate::pubsub::PubSub;
use crate::secret::SecretStore;
use crate::state::StateStore;

/// Opens building blocks, as Dapr's Init does: each call opens a value for the instance with the metadata
/// of its resource file.
///
/// # Errors
/// All methods: [`Unsupported`](crate::ErrorKind::Unsupported) when there is no such building block,
/// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
#[async_trait]
pub trait Opener: fmt::Debug + Send + Sync + 'static {
    /// Opens a state store.
    async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>>;

    /// Opens a broker.
    async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>>;

    /// Opens an input binding.
    async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>>;

    /// Opens an output binding.
    async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>>;

    /// Opens a secret store.
    async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>>;
}
