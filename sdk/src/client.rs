//! Components behind a Unix socket, in any language: the same traits that a component implements, over the wire.
//!
//! A [`Client`] is an [`Opener`], as [`Blocks`](crate::Blocks) is one for components in this process: hosts and tools are
//! written once, for both.
//!
//! ```no_run
//! # async fn example() -> dapr_pluggable::Result<()> {
//! use dapr_pluggable::client::Client;
//! use dapr_pluggable::state::{GetRequest, SetRequest};
//! use dapr_pluggable::{InstanceId, Metadata, Opener};
//!
//! let client = Client::connect("/tmp/dapr-components-sockets/memory.sock").await?;
//! let store = client
//!     .open_state_store(&InstanceId::new("statestore"), &Metadata::new())
//!     .await?;
//! store.set(SetRequest::new("greeting", "hello")).await?;
//! assert!(store.get(GetRequest::new("greeting")).await?.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # What comes back
//! [`Opener`]'s methods send what a Dapr runtime sends: Init, then Features (for an output binding, its list of
//! operations). The `attach_…` methods leave Init out, to look at an instance that somebody else has opened. Every call
//! names its instance in the header `x-component-instance`.
//!
//! Transactions and bulk publishing are there when Features says so. Queries and pausing are always there, and may
//! answer [`Unsupported`](ErrorKind::Unsupported); a store that says it has queries claims `QUERY_API`. An answer that the
//! component meant as an error keeps the status it had ([`Error::wire`]); a connection that could not be made or broke is
//! [`Unavailable`](ErrorKind::Unavailable), and its text names the socket.
//!
//! Calls have no time limit of their own, Init included: drop the future, and the component learns that nobody waits any
//! more. Closing a value ends its subscriptions, waits for its calls in flight, and sends nothing: the protocol has no
//! word for it.

mod binding;
mod connection;
mod pubsub;
mod secret;
mod state;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::timeout;

use self::connection::{Connection, Instance};
use crate::binding::{InputBinding, OutputBinding};
use crate::component::{Block, InstanceId};
use crate::delivery::Options;
use crate::dial::ANSWER_CAP;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Guard, InputKind, Kind, OutputKind, PubSubKind, SecretKind, StateKind};
use crate::metadata::Metadata;
use crate::opener::Opener;
use crate::pubsub::PubSub;
use crate::secret::SecretStore;
use crate::services;
use crate::state::StateStore;

/// A connection to the socket of a component. Clones share it. When the component went away, the next call connects anew;
/// what the component knew of its instances is then lost, and only another open tells it again.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
}

impl Client {
    /// Connects. What carries the connection runs on the runtime of the caller, for as long as there is a clone or a
    /// value that was opened by one.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when nobody listens there, [`Denied`](ErrorKind::Denied) when this user may
    /// not connect; the text names the socket.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self> {
        let connection = Connection::open(socket.as_ref()).await?;
        Ok(Self {
            connection: Arc::new(connection),
        })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.connection.socket()
    }

    /// The gRPC services behind the socket, asked as Dapr's runtime asks: by reflection `v1alpha`. Waits at most 5 s.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when the component does not answer, or not in time;
    /// [`Unsupported`](ErrorKind::Unsupported) when it has no reflection.
    pub async fn services(&self) -> Result<BTreeSet<String>> {
        services::list(self.connection.channel(), self.socket()).await
    }

    /// The building blocks behind the socket, by its [`services`](Self::services).
    ///
    /// # Errors
    /// As [`services`](Self::services).
    pub async fn blocks(&self) -> Result<Vec<Block>> {
        let services = self.services().await?;
        let mut blocks = Block::ALL.to_vec();
        blocks.retain(|block| services.contains(block.service()));
        Ok(blocks)
    }

    /// A state store that somebody else has opened. Asks for its features, waits at most 5 s.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) when there is no such building block, and whatever the component answers.
    pub async fn attach_state_store(&self, instance: &InstanceId) -> Result<Arc<dyn StateStore>> {
        Ok(self.open::<StateKind>(instance, None).await?)
    }

    /// A broker that somebody else has opened. Asks for its features, waits at most 5 s.
    ///
    /// # Errors
    /// As [`attach_state_store`](Self::attach_state_store).
    pub async fn attach_pubsub(&self, instance: &InstanceId) -> Result<Arc<dyn PubSub>> {
        Ok(self.open::<PubSubKind>(instance, None).await?)
    }

    /// An input binding that somebody else has opened. Asks nothing of it but whether it is there, waits at most 5 s.
    ///
    /// # Errors
    /// As [`attach_state_store`](Self::attach_state_store).
    pub async fn attach_input_binding(
        &self,
        instance: &InstanceId,
    ) -> Result<Arc<dyn InputBinding>> {
        self.require(Block::InputBinding).await?;
        Ok(self.open::<InputKind>(instance, None).await?)
    }

    /// An output binding that somebody else has opened. Asks for its operations, waits at most 5 s.
    ///
    /// # Errors
    /// As [`attach_state_store`](Self::attach_state_store).
    pub async fn attach_output_binding(
        &self,
        instance: &InstanceId,
    ) -> Result<Arc<dyn OutputBinding>> {
        Ok(self.open::<OutputKind>(instance, None).await?)
    }

    /// A secret store that somebody else has opened. Asks for its features, waits at most 5 s.
    ///
    /// # Errors
    /// As [`attach_state_store`](Self::attach_state_store).
    pub async fn attach_secret_store(&self, instance: &InstanceId) -> Result<Arc<dyn SecretStore>> {
        Ok(self.open::<SecretKind>(instance, None).await?)
    }

    /// Sends Init, if there is metadata for it, learns what the instance can do, and puts it under guard.
    async fn open<K: Remote>(
        &self,
        instance: &InstanceId,
        properties: Option<&Metadata>,
    ) -> Result<Arc<Guard<K>>> {
        let remote = Instance::new(Arc::clone(&self.connection), instance)?;
        let properties = properties.cloned();
        let opening = async move {
            if let Some(properties) = properties {
                K::init(&remote, properties).await?;
            }
            let socket = remote.socket().to_owned();
            let described = timeout(ANSWER_CAP, K::describe(remote)).await;
            described.unwrap_or_else(|_| {
                let text = format!(
                    "learn what the {} at {} can do: no answer within {ANSWER_CAP:?}",
                    K::BLOCK,
                    socket.display()
                );
                Err(Error::new(ErrorKind::TimedOut, text))
            })
        };
        let opening = Guard::prepare(instance, Options::default(), || Ok(Box::pin(opening)))?;
        match opening.await {
            Err(error) if *error.kind() == ErrorKind::Unsupported => {
                // The method or the whole building block; reflection tells which.
                match self.require(K::BLOCK).await {
                    Err(absent) if *absent.kind() == ErrorKind::Unsupported => Err(absent),
                    _ => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    async fn require(&self, block: Block) -> Result<()> {
        if self.services().await?.contains(block.service()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "open the {block} at {}: it has no service {}",
                self.socket().display(),
                block.service()
            ),
        ))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.socket()).finish()
    }
}

#[async_trait]
impl Opener for Client {
    async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>> {
        Ok(self.open::<StateKind>(instance, Some(properties)).await?)
    }

    async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>> {
        Ok(self.open::<PubSubKind>(instance, Some(properties)).await?)
    }

    async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>> {
        Ok(self.open::<InputKind>(instance, Some(properties)).await?)
    }

    async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>> {
        Ok(self.open::<OutputKind>(instance, Some(properties)).await?)
    }

    async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>> {
        Ok(self.open::<SecretKind>(instance, Some(properties)).await?)
    }
}

/// A building block behind a socket.
#[async_trait]
trait Remote: Kind {
    /// Sends Init.
    async fn init(instance: &Instance, properties: Metadata) -> Result<()>;

    /// Asks what the instance can do. The answer makes the value.
    async fn describe(instance: Instance) -> Result<Arc<Self::Value>>;
}
