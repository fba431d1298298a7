//! What a component consists of: which building blocks it has and how to open each.
//!
//! A component crate exports one function, `pub fn blocks() -> Blocks`. The server serves it on a socket, a host opens
//! the same blocks in its own process, a catalogue maps a type name to it: registered once, used three times.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::binding::{InputBinding, OutputBinding};
use crate::component::{Block, InstanceId, Open};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::pubsub::PubSub;
use crate::secret::SecretStore;
use crate::settings::{self, Aliases, Rules};
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
    state_store: Option<Registration<dyn StateStore>>,
    pubsub: Option<Registration<dyn PubSub>>,
    input_binding: Option<Registration<dyn InputBinding>>,
    output_binding: Option<Registration<dyn OutputBinding>>,
    secret_store: Option<Registration<dyn SecretStore>>,
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
        self.state_store = Some(Registration::open::<C>(|component| Arc::new(component)));
        self
    }

    /// Has a state store without metadata, made by a function at every Init.
    #[must_use]
    pub fn state_store_from<C: StateStore>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.state_store = Some(Registration::from_fn(make, |component| Arc::new(component)));
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
        self.state_store = Some(Registration::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a broker, opened by its metadata.
    #[must_use]
    pub fn pubsub<C: PubSub + Open>(mut self) -> Self {
        self.pubsub = Some(Registration::open::<C>(|component| Arc::new(component)));
        self
    }

    /// Has a broker without metadata, made by a function at every Init.
    #[must_use]
    pub fn pubsub_from<C: PubSub>(mut self, make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        self.pubsub = Some(Registration::from_fn(make, |component| Arc::new(component)));
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
        self.pubsub = Some(Registration::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an input binding, opened by its metadata.
    #[must_use]
    pub fn input_binding<C: InputBinding + Open>(mut self) -> Self {
        self.input_binding = Some(Registration::open::<C>(|component| Arc::new(component)));
        self
    }

    /// Has an input binding without metadata, made by a function at every Init.
    #[must_use]
    pub fn input_binding_from<C: InputBinding>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.input_binding = Some(Registration::from_fn(make, |component| Arc::new(component)));
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
        self.input_binding = Some(Registration::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has an output binding, opened by its metadata.
    #[must_use]
    pub fn output_binding<C: OutputBinding + Open>(mut self) -> Self {
        self.output_binding = Some(Registration::open::<C>(|component| Arc::new(component)));
        self
    }

    /// Has an output binding without metadata, made by a function at every Init.
    #[must_use]
    pub fn output_binding_from<C: OutputBinding>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.output_binding = Some(Registration::from_fn(make, |component| Arc::new(component)));
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
        self.output_binding = Some(Registration::with(rules, open, |component| {
            Arc::new(component)
        }));
        self
    }

    /// Has a secret store, opened by its metadata.
    #[must_use]
    pub fn secret_store<C: SecretStore + Open>(mut self) -> Self {
        self.secret_store = Some(Registration::open::<C>(|component| Arc::new(component)));
        self
    }

    /// Has a secret store without metadata, made by a function at every Init.
    #[must_use]
    pub fn secret_store_from<C: SecretStore>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.secret_store = Some(Registration::from_fn(make, |component| Arc::new(component)));
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
        self.secret_store = Some(Registration::with(rules, open, |component| {
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

    /// Opens a state store in this process, as Init does.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none,
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
    pub async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>> {
        open(
            self.state_store.as_ref(),
            Block::StateStore,
            instance,
            properties,
        )
        .await
    }

    /// Opens a broker in this process, as Init does.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none,
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
    pub async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>> {
        open(self.pubsub.as_ref(), Block::PubSub, instance, properties).await
    }

    /// Opens an input binding in this process, as Init does.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none,
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
    pub async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>> {
        open(
            self.input_binding.as_ref(),
            Block::InputBinding,
            instance,
            properties,
        )
        .await
    }

    /// Opens an output binding in this process, as Init does.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none,
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
    pub async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>> {
        open(
            self.output_binding.as_ref(),
            Block::OutputBinding,
            instance,
            properties,
        )
        .await
    }

    /// Opens a secret store in this process, as Init does.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none,
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for bad metadata, and whatever the open reports.
    pub async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>> {
        open(
            self.secret_store.as_ref(),
            Block::SecretStore,
            instance,
            properties,
        )
        .await
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.list()).finish()
    }
}

async fn open<T: ?Sized + 'static>(
    registration: Option<&Registration<T>>,
    block: Block,
    instance: &InstanceId,
    properties: &Metadata,
) -> Result<Arc<T>> {
    let registration = registration.ok_or_else(|| Error::unsupported(block))?;
    registration.prepare(instance, properties)?.await
}

/// How to open one building block.
pub(crate) struct Registration<T: ?Sized> {
    prepare: Arc<Prepare<T>>,
    exclusive: bool,
}

type Prepare<T> = dyn Fn(&InstanceId, &Metadata) -> Result<Opening<T>> + Send + Sync;

/// An open that has decoded its settings and not begun.
pub(crate) type Opening<T> = BoxFuture<'static, Result<Arc<T>>>;

impl<T: ?Sized + 'static> Registration<T> {
    /// Decodes the metadata. The opening it gives does the rest.
    pub(crate) fn prepare(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Opening<T>> {
        (self.prepare)(instance, properties)
    }

    /// Whether the old value is to be closed before the opening begins.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    fn open<C: Open>(share: fn(C) -> Arc<T>) -> Self {
        Self {
            exclusive: C::EXCLUSIVE,
            prepare: Arc::new(move |instance, properties| {
                let settings: C::Settings = decode(properties, C::RULES, C::ALIASES)?;
                let instance = instance.clone();
                Ok(Box::pin(async move {
                    C::open(settings, &instance).await.map(share)
                }))
            }),
        }
    }

    fn from_fn<C: Send + 'static>(
        make: impl Fn() -> C + Send + Sync + 'static,
        share: fn(C) -> Arc<T>,
    ) -> Self {
        Self {
            exclusive: false,
            prepare: Arc::new(move |_, _| {
                let component = make();
                Ok(Box::pin(async move { Ok(share(component)) }))
            }),
        }
    }

    fn with<S, C, F, O>(rules: Rules, open: F, share: fn(C) -> Arc<T>) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: 'static,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        Self {
            exclusive: false,
            prepare: Arc::new(move |instance, properties| {
                let opening = open(decode(properties, rules, &[])?, instance.clone());
                Ok(Box::pin(async move { opening.await.map(share) }))
            }),
        }
    }
}

impl<T: ?Sized> Clone for Registration<T> {
    fn clone(&self) -> Self {
        Self {
            prepare: Arc::clone(&self.prepare),
            exclusive: self.exclusive,
        }
    }
}

fn decode<S: DeserializeOwned>(properties: &Metadata, rules: Rules, aliases: Aliases) -> Result<S> {
    let decoded = settings::decode(properties.as_map(), rules, aliases)?;
    if !decoded.unknown.is_empty() {
        tracing::info!(keys = ?decoded.unknown, "metadata keys that this component does not know");
    }
    Ok(decoded.settings)
}
