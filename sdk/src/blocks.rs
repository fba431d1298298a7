//! What a component consists of: which building blocks it has and how to open each.
//!
//! A component crate exports one function, `pub fn blocks() -> Blocks`. The server serves it on a socket, a host opens
//! the same blocks in its own process, a catalogue maps a type name to it: registered once, used three times.

mod registration;
mod runtime_keys;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

pub(crate) use self::registration::Registration;
use crate::binding::{InputBinding, OutputBinding};
use crate::component::{Block, InstanceId, Open};
use crate::error::{Error, Result};
use crate::guard::{Guard, InputKind, Kind, OutputKind, PubSubKind, SecretKind, StateKind};
use crate::metadata::Metadata;
use crate::opener::Opener;
use crate::pubsub::PubSub;
use crate::secret::SecretStore;
use crate::settings::Rules;
use crate::state::StateStore;

/// A named choice of building blocks. Each can be registered in one of three ways, here for the state store:
///
/// - [`state_store`](Self::state_store) for a type that implements [`Open`];
/// - [`state_store_from`](Self::state_store_from) with a function, where there is no metadata: `C::default`;
/// - [`state_store_with`](Self::state_store_with) with a closure, for blocks that share something.
///
/// Registering a block again replaces it.
#[derive(Clone, Default)]
pub struct Blocks {
    pub(crate) state_store: Option<Registration<StateKind>>,
    pub(crate) pubsub: Option<Registration<PubSubKind>>,
    pub(crate) input_binding: Option<Registration<InputKind>>,
    pub(crate) output_binding: Option<Registration<OutputKind>>,
    pub(crate) secret_store: Option<Registration<SecretKind>>,
    offloaded: BTreeSet<Block>,
}

impl Blocks {
    /// No building block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a state store, opened by its metadata.
    #[must_use]
    pub fn state_store<C: StateStore + Open>(mut self) -> Self {
        self.state_store = Some(Registration::<StateKind>::open::<C>(|component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a state store without metadata, made by a function at every Init.
    #[must_use]
    pub fn state_store_from<C: StateStore>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.state_store = Some(Registration::<StateKind>::from_fn(make, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a state store, opened by a closure from decoded metadata.
    #[must_use]
    pub fn state_store_with<S, C, F, O>(mut self, rules: Rules, open: F) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: StateStore,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        self.state_store = Some(Registration::<StateKind>::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a broker, opened by its metadata.
    #[must_use]
    pub fn pubsub<C: PubSub + Open>(mut self) -> Self {
        self.pubsub = Some(Registration::<PubSubKind>::open::<C>(|component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a broker without metadata, made by a function at every Init.
    #[must_use]
    pub fn pubsub_from<C: PubSub>(mut self, make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        self.pubsub = Some(Registration::<PubSubKind>::from_fn(make, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a broker, opened by a closure from decoded metadata.
    #[must_use]
    pub fn pubsub_with<S, C, F, O>(mut self, rules: Rules, open: F) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: PubSub,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        self.pubsub = Some(Registration::<PubSubKind>::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an input binding, opened by its metadata.
    #[must_use]
    pub fn input_binding<C: InputBinding + Open>(mut self) -> Self {
        self.input_binding = Some(Registration::<InputKind>::open::<C>(|component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an input binding without metadata, made by a function at every Init.
    #[must_use]
    pub fn input_binding_from<C: InputBinding>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.input_binding = Some(Registration::<InputKind>::from_fn(make, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an input binding, opened by a closure from decoded metadata.
    #[must_use]
    pub fn input_binding_with<S, C, F, O>(mut self, rules: Rules, open: F) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: InputBinding,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        self.input_binding = Some(Registration::<InputKind>::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an output binding, opened by its metadata.
    #[must_use]
    pub fn output_binding<C: OutputBinding + Open>(mut self) -> Self {
        self.output_binding = Some(Registration::<OutputKind>::open::<C>(|component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an output binding without metadata, made by a function at every Init.
    #[must_use]
    pub fn output_binding_from<C: OutputBinding>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.output_binding = Some(Registration::<OutputKind>::from_fn(make, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an output binding, opened by a closure from decoded metadata.
    #[must_use]
    pub fn output_binding_with<S, C, F, O>(mut self, rules: Rules, open: F) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: OutputBinding,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        self.output_binding = Some(Registration::<OutputKind>::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a secret store, opened by its metadata.
    #[must_use]
    pub fn secret_store<C: SecretStore + Open>(mut self) -> Self {
        self.secret_store = Some(Registration::<SecretKind>::open::<C>(|component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a secret store without metadata, made by a function at every Init.
    #[must_use]
    pub fn secret_store_from<C: SecretStore>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.secret_store = Some(Registration::<SecretKind>::from_fn(make, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a secret store, opened by a closure from decoded metadata.
    #[must_use]
    pub fn secret_store_with<S, C, F, O>(mut self, rules: Rules, open: F) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: SecretStore,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        self.secret_store = Some(Registration::<SecretKind>::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Runs the calls of a block on threads of their own, for a block whose handlers block the thread they run on. It
    /// costs about half as much again per call; a handler that never blocks is better off without.
    #[must_use]
    pub fn offload(mut self, block: Block) -> Self {
        self.offloaded.insert(block);
        self
    }

    /// Whether the calls of a block run on threads of their own.
    #[must_use]
    pub fn is_offloaded(&self, block: Block) -> bool {
        self.offloaded.contains(&block)
    }

    /// Whether the block is there.
    #[must_use]
    pub fn has(&self, block: Block) -> bool {
        match block {
            Block::StateStore => self.state_store.is_some(),
            Block::PubSub => self.pubsub.is_some(),
            Block::InputBinding => self.input_binding.is_some(),
            Block::OutputBinding => self.output_binding.is_some(),
            Block::SecretStore => self.secret_store.is_some(),
        }
    }

    /// The blocks that are there.
    pub fn list(&self) -> impl Iterator<Item = Block> {
        Block::ALL.into_iter().filter(|block| self.has(*block))
    }
}

#[async_trait]
impl Opener for Blocks {
    async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>> {
        Ok(open(self.state_store.as_ref(), instance, properties).await?)
    }

    async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>> {
        Ok(open(self.pubsub.as_ref(), instance, properties).await?)
    }

    async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>> {
        Ok(open(self.input_binding.as_ref(), instance, properties).await?)
    }

    async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>> {
        Ok(open(self.output_binding.as_ref(), instance, properties).await?)
    }

    async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>> {
        Ok(open(self.secret_store.as_ref(), instance, properties).await?)
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.list()).finish()
    }
}

/// Opens what is registered, under guard.
async fn open<K: Kind>(
    registration: Option<&Registration<K>>,
    instance: &InstanceId,
    properties: &Metadata,
) -> Result<Arc<Guard<K>>> {
    let registration = registration.ok_or_else(|| Error::unsupported(K::BLOCK))?;
    registration.prepare(instance, properties)?.await
}
