//! The open components, by name: what the application APIs read.

mod component;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

pub use self::component::{
    BindingComponent, ComponentInfo, Identity, OpenComponent, PubSubComponent, SecretComponent,
    StateComponent, WaitingComponent,
};

/// The components of a host as they come and go. Reading takes a snapshot, which is cheap and never blocks for long.
#[derive(Debug)]
pub struct Registry {
    components: watch::Sender<Arc<Components>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// Without components.
    #[must_use]
    pub fn new() -> Self {
        Self {
            components: watch::Sender::new(Arc::default()),
        }
    }

    /// What is there now.
    #[must_use]
    pub fn components(&self) -> Arc<Components> {
        Arc::clone(&self.components.borrow())
    }

    /// What is there, and a notice of each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Components>> {
        self.components.subscribe()
    }

    /// Adds an open component. One that waited under this name waits no more; one that was open under it is returned,
    /// still open, and the new one has its place.
    pub fn add(&self, component: OpenComponent) -> Option<OpenComponent> {
        let mut old = None;
        self.components
            .send_modify(|components| old = Arc::make_mut(components).add(component));
        old
    }

    /// Notes that a component cannot be opened yet, and why; or that an open one has gone away, until it is added again.
    pub fn set_waiting(&self, waiting: WaitingComponent) {
        self.components.send_modify(|components| {
            let name = waiting.identity.name.clone();
            Arc::make_mut(components).waiting.insert(name, waiting);
        });
    }

    /// Takes everything out. Nothing is closed.
    #[must_use]
    pub fn take_all(&self) -> Arc<Components> {
        self.components.send_replace(Arc::default())
    }
}

/// The components at one moment.
#[derive(Clone, Debug, Default)]
pub struct Components {
    /// In the order in which they were opened.
    open: Vec<OpenComponent>,
    state_stores: HashMap<String, Arc<StateComponent>>,
    pubsubs: HashMap<String, Arc<PubSubComponent>>,
    bindings: HashMap<String, Arc<BindingComponent>>,
    secret_stores: HashMap<String, Arc<SecretComponent>>,
    waiting: BTreeMap<String, WaitingComponent>,
}

impl Components {
    /// The state store of that name.
    #[must_use]
    pub fn state_store(&self, name: &str) -> Option<&Arc<StateComponent>> {
        self.state_stores.get(name)
    }

    /// Whether there is any state store.
    #[must_use]
    pub fn has_state_stores(&self) -> bool {
        !self.state_stores.is_empty()
    }

    /// The broker of that name.
    #[must_use]
    pub fn pubsub(&self, name: &str) -> Option<&Arc<PubSubComponent>> {
        self.pubsubs.get(name)
    }

    /// The binding of that name.
    #[must_use]
    pub fn binding(&self, name: &str) -> Option<&Arc<BindingComponent>> {
        self.bindings.get(name)
    }

    /// The secret store of that name.
    #[must_use]
    pub fn secret_store(&self, name: &str) -> Option<&Arc<SecretComponent>> {
        self.secret_stores.get(name)
    }

    /// All that are open, in the order in which they were opened.
    #[must_use]
    pub fn open(&self) -> &[OpenComponent] {
        &self.open
    }

    /// What `/v1.0/metadata` tells of the open components, in the order in which they were opened.
    #[must_use]
    pub fn infos(&self) -> Vec<ComponentInfo> {
        self.open.iter().map(OpenComponent::info).collect()
    }

    /// Those that are not open yet, and those that are open and have gone away, by name.
    pub fn waiting(&self) -> impl Iterator<Item = &WaitingComponent> {
        self.waiting.values()
    }

    fn add(&mut self, component: OpenComponent) -> Option<OpenComponent> {
        let name = component.identity().name.clone();
        self.waiting.remove(&name);
        let at = self
            .open
            .iter()
            .position(|other| other.identity().name == name);
        let old = at.map(|at| self.remove(at));
        match &component {
            OpenComponent::StateStore(store) => {
                self.state_stores.insert(name, Arc::clone(store));
            }
            OpenComponent::PubSub(pubsub) => {
                self.pubsubs.insert(name, Arc::clone(pubsub));
            }
            OpenComponent::Binding(binding) => {
                self.bindings.insert(name, Arc::clone(binding));
            }
            OpenComponent::SecretStore(store) => {
                self.secret_stores.insert(name, Arc::clone(store));
            }
        }
        self.open.insert(at.unwrap_or(self.open.len()), component);
        old
    }

    fn remove(&mut self, at: usize) -> OpenComponent {
        let component = self.open.remove(at);
        let name = &component.identity().name;
        self.state_stores.remove(name);
        self.pubsubs.remove(name);
        self.bindings.remove(name);
        self.secret_stores.remove(name);
        component
    }
}

#[cfg(test)]
mod tests;
