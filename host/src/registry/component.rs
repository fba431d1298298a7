//! One open component of each kind.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::binding::{InputBinding, OutputBinding};
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::state::StateStore;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::warn;

use crate::key_prefix::KeyPrefix;

const QUERY_API: &str = "QUERY_API";

/// How long a store may take to say how large a transaction may be, as in Dapr's runtime.
const MAX_OPERATIONS_DEADLINE: Duration = Duration::from_secs(5);

/// What a resource file calls a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `metadata.name`.
    pub name: String,
    /// `spec.type`, such as `state.redis`.
    pub component_type: String,
    /// `spec.version`; empty when the file has none.
    pub version: String,
}

impl Identity {
    /// A component of that name, type and version.
    pub fn new(
        name: impl Into<String>,
        component_type: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            component_type: component_type.into(),
            version: version.into(),
        }
    }
}

/// As Dapr writes it in messages: `orders (state.redis/v1)`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            component_type,
            version,
        } = self;
        write!(f, "{name} ({component_type}/{version})")
    }
}

/// What `/v1.0/metadata` tells of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentInfo {
    /// Its name, type and version.
    pub identity: Identity,
    /// What it can do, in Dapr's names: `ETAG`, `TRANSACTIONAL` and so on.
    pub capabilities: Vec<String>,
}

/// A component that cannot be opened yet, or that has gone away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingComponent {
    /// Its name, type and version.
    pub identity: Identity,
    /// What it waits for, in words: a socket, a secret store.
    pub reason: String,
}

/// An open component.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum OpenComponent {
    /// `state.*`
    StateStore(Arc<StateComponent>),
    /// `pubsub.*`
    PubSub(Arc<PubSubComponent>),
    /// `bindings.*`
    Binding(Arc<BindingComponent>),
    /// `secretstores.*`
    SecretStore(Arc<SecretComponent>),
}

impl OpenComponent {
    /// Its name, type and version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        match self {
            Self::StateStore(component) => component.identity(),
            Self::PubSub(component) => component.identity(),
            Self::Binding(component) => component.identity(),
            Self::SecretStore(component) => component.identity(),
        }
    }

    /// What `/v1.0/metadata` tells of it.
    #[must_use]
    pub fn info(&self) -> ComponentInfo {
        ComponentInfo {
            identity: self.identity().clone(),
            capabilities: match self {
                Self::StateStore(component) => component.capabilities(),
                Self::PubSub(component) => component.capabilities(),
                Self::Binding(component) => component.capabilities(),
                Self::SecretStore(component) => component.capabilities(),
            },
        }
    }
}

/// An open state store.
pub struct StateComponent {
    identity: Identity,
    store: Arc<dyn StateStore>,
    prefix: KeyPrefix,
    is_remote: bool,
    max_operations: OnceCell<Option<NonZeroU32>>,
}

impl StateComponent {
    /// A store whose keys have `prefix`.
    #[must_use]
    pub fn new(identity: Identity, store: Arc<dyn StateStore>, prefix: KeyPrefix) -> Self {
        Self {
            identity,
            store,
            prefix,
            is_remote: false,
            max_operations: OnceCell::new(),
        }
    }

    /// The same store behind a socket: whether it has queries is in its claims, since there anything can be asked.
    #[must_use]
    pub(crate) fn remote(mut self) -> Self {
        self.is_remote = true;
        self
    }

    /// Its name, type and version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The store. It takes keys with their prefix.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn StateStore> {
        &self.store
    }

    /// What stands before every key.
    #[must_use]
    pub fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    /// What it can do, in Dapr's names. `ACTOR` is what Dapr says of a store that could keep actors.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        let mut claims = self.store.claims();
        let transactional = self.store.transactional().is_some();
        let claims_queries = claims.other.iter().any(|name| name == QUERY_API);
        claims.other.retain(|name| name != QUERY_API);
        let queryable = claims_queries || (!self.is_remote && self.store.queryable().is_some());
        let own = [
            ("ETAG", claims.etag),
            ("TRANSACTIONAL", transactional),
            (QUERY_API, queryable),
            ("TTL", claims.ttl),
        ];
        let actor = [("ACTOR", claims.etag && transactional)];
        names(&own)
            .chain(claims.other)
            .chain(names(&actor))
            .collect()
    }

    /// How many operations a transaction may have; `None` is no limit. Asked once, at the first call, with a deadline of
    /// five seconds; a store that fails to answer has no limit, as in Dapr's runtime.
    pub async fn max_operations(&self) -> Option<NonZeroU32> {
        *self
            .max_operations
            .get_or_init(|| async {
                let transactional = self.store.transactional()?;
                match timeout(MAX_OPERATIONS_DEADLINE, transactional.max_operations()).await {
                    Ok(Ok(limit)) => limit,
                    Ok(Err(error)) => {
                        warn!(component = %self.identity, %error, "the store does not say how large a transaction may be");
                        None
                    }
                    Err(_) => {
                        warn!(component = %self.identity, "the store does not answer how large a transaction may be");
                        None
                    }
                }
            })
            .await
    }
}

impl fmt::Debug for StateComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateComponent")
            .field("identity", &self.identity)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// An open broker.
pub struct PubSubComponent {
    identity: Identity,
    pubsub: Arc<dyn PubSub>,
}

impl PubSubComponent {
    /// A broker.
    #[must_use]
    pub fn new(identity: Identity, pubsub: Arc<dyn PubSub>) -> Self {
        Self { identity, pubsub }
    }

    /// Its name, type and version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The broker.
    #[must_use]
    pub fn pubsub(&self) -> &Arc<dyn PubSub> {
        &self.pubsub
    }

    /// What it can do, in Dapr's names.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        let claims = self.pubsub.claims();
        let own = [
            ("MESSAGE_TTL", claims.message_ttl),
            ("SUBSCRIBE_WILDCARDS", claims.wildcards),
            ("BULK_PUBSUB", self.pubsub.bulk_publisher().is_some()),
        ];
        names(&own).chain(claims.other).collect()
    }
}

impl fmt::Debug for PubSubComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubComponent")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// An open binding: events in, calls out, or both.
pub struct BindingComponent {
    identity: Identity,
    input: Option<Arc<dyn InputBinding>>,
    output: Option<Arc<dyn OutputBinding>>,
}

impl BindingComponent {
    /// A binding with the sides that its metadata `direction` allows and its component has.
    #[must_use]
    pub fn new(
        identity: Identity,
        input: Option<Arc<dyn InputBinding>>,
        output: Option<Arc<dyn OutputBinding>>,
    ) -> Self {
        Self {
            identity,
            input,
            output,
        }
    }

    /// Its name, type and version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The side that events come from.
    #[must_use]
    pub fn input(&self) -> Option<&Arc<dyn InputBinding>> {
        self.input.as_ref()
    }

    /// The side that calls go to.
    #[must_use]
    pub fn output(&self) -> Option<&Arc<dyn OutputBinding>> {
        self.output.as_ref()
    }

    /// What it can do, in Dapr's names.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        names(&[
            ("INPUT_BINDING", self.input.is_some()),
            ("OUTPUT_BINDING", self.output.is_some()),
        ])
        .collect()
    }
}

impl fmt::Debug for BindingComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindingComponent")
            .field("identity", &self.identity)
            .field("capabilities", &self.capabilities())
            .finish_non_exhaustive()
    }
}

/// An open secret store.
pub struct SecretComponent {
    identity: Identity,
    store: Arc<dyn SecretStore>,
}

impl SecretComponent {
    /// A secret store.
    #[must_use]
    pub fn new(identity: Identity, store: Arc<dyn SecretStore>) -> Self {
        Self { identity, store }
    }

    /// Its name, type and version.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn SecretStore> {
        &self.store
    }

    /// What it can do, in Dapr's names.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        let claims = self.store.claims();
        names(&[("MULTIPLE_KEY_VALUES_PER_SECRET", claims.multiple_keys)])
            .chain(claims.other)
            .collect()
    }
}

impl fmt::Debug for SecretComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretComponent")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

fn names(capabilities: &[(&'static str, bool)]) -> impl Iterator<Item = String> {
    capabilities
        .iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| (*name).to_owned())
}
