//! Write and call Dapr pluggable components.
//!
//! A pluggable component is a program that gives a Dapr runtime a state store, a broker, bindings or a secret store: a gRPC
//! server on a Unix socket. With this crate it is a type that implements a trait; sockets, gRPC, instances, answers
//! and the life of the process are not its business. The same traits are what hosts and tools call components by.
//!
//! # A component
//!
//! Each building block is a trait: [`StateStore`](state::StateStore), [`PubSub`](pubsub::PubSub),
//! [`InputBinding`](binding::InputBinding), [`OutputBinding`](binding::OutputBinding), [`SecretStore`](secret::SecretStore).
//! What all have in common is [`Component`], which can be empty. A state store needs three methods:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Arc;
//!
//! use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
//! use dapr_pluggable::{Blocks, Bytes, Component, Metadata, Opener, Result, async_trait};
//! use tokio::sync::Mutex;
//!
//! #[derive(Clone, Default)]
//! struct Values(Arc<Mutex<HashMap<String, Bytes>>>);
//!
//! impl Component for Values {}
//!
//! #[async_trait]
//! impl StateStore for Values {
//!     async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
//!         Ok(self.0.lock().await.get(&request.key).cloned().map(Entry::new))
//!     }
//!
//!     async fn set(&self, request: SetRequest) -> Result<()> {
//!         self.0.lock().await.insert(request.key, request.value);
//!         Ok(())
//!     }
//!
//!     async fn delete(&self, request: DeleteRequest) -> Result<()> {
//!         self.0.lock().await.remove(&request.key);
//!         Ok(())
//!     }
//! }
//!
//! /// What the component consists of.
//! fn blocks() -> Blocks {
//!     let values = Values::default();
//!     Blocks::new().state_store_from(move || values.clone())
//! }
//!
//! // Opened as a runtime does it with Init, but without a socket between: this is how to test a component.
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let store = blocks().open_state_store(&"orders".into(), &Metadata::new()).await?;
//! store.set(SetRequest::new("app||greeting", "hello")).await?;
//! let entry = store.get(GetRequest::new("app||greeting")).await?;
//! assert_eq!(entry.map(|entry| entry.value), Some(Bytes::from("hello")));
//!
//! // Bulk calls, which the runtime prefers, are made of the single ones unless a store has better.
//! let requests = vec![GetRequest::new("app||greeting"), GetRequest::new("app||none")];
//! let answers = store.bulk_get(requests, Default::default()).await?;
//! assert_eq!(answers[1].key, "app||none");
//! # Ok(())
//! # }
//! ```
//!
//! Served, it is a program, with a command line, logs and a graceful stop. It makes `values.sock` where Dapr's runtime looks,
//! and a resource file with `type: state.values` uses it:
//!
//! ```no_run
//! # fn blocks() -> dapr_pluggable::Blocks { dapr_pluggable::Blocks::new() }
//! use std::process::ExitCode;
//!
//! use dapr_pluggable::Server;
//!
//! fn main() -> ExitCode {
//!     Server::new("values").blocks(blocks()).run()
//! }
//! ```
//!
//! # Promises
//!
//! What a component can do beyond the methods it must have is told to the runtime as features. They are not listed by hand:
//! claims say which behaviour holds, and an accessor such as [`transactional`](state::StateStore::transactional) gives what
//! implements more. With etags, [`check_etag`](state::SetRequest::check_etag) is the rule of who may write over what:
//!
//! ```
//! use dapr_pluggable::ErrorKind;
//! use dapr_pluggable::state::{Concurrency, Etag, SetRequest};
//!
//! let stored = Etag::from(7);
//! let mut request = SetRequest::new("app||order", "{}");
//! assert!(request.check_etag(Some(&stored)).is_ok());
//!
//! request.concurrency = Concurrency::FirstWrite;
//! let error = request.check_etag(Some(&stored)).unwrap_err();
//! assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
//! ```
//!
//! # Settings
//!
//! The metadata of a resource file arrives as a map of strings. [`Open`] is how a component takes it: as a type of its own,
//! decoded by the rules of Dapr's own components. A wrong value is refused with the key, the value and what was expected;
//! see [`settings`].
//!
//! ```
//! use std::time::Duration;
//!
//! use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
//! use dapr_pluggable::{
//!     Blocks, Component, Error, ErrorKind, InstanceId, Metadata, Open, Opener, Result, async_trait,
//! };
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Vault {
//!     address: String,
//!     #[serde(default)]
//!     max_age: Duration,
//! }
//!
//! #[async_trait]
//! impl Open for Vault {
//!     type Settings = Self;
//!
//!     async fn open(settings: Self, _: &InstanceId) -> Result<Self> {
//!         Ok(settings)
//!     }
//! }
//!
//! impl Component for Vault {}
//!
//! #[async_trait]
//! impl SecretStore for Vault {
//!     async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
//!         let text = format!("no secret {:?} at {}", request.name, self.address);
//!         Err(Error::new(ErrorKind::NotFound, text))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let blocks = Blocks::new().secret_store::<Vault>();
//! let metadata = Metadata::from([("address", "localhost"), ("maxAge", "tomorrow")]);
//! let opened = blocks.open_secret_store(&"vault".into(), &metadata).await;
//! let error = opened.err().unwrap();
//! assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
//! assert!(error.message().contains(r#"invalid value "tomorrow" for key "maxAge""#));
//! # }
//! ```
//!
//! # Messages
//!
//! A broker [delivers](delivery) the messages of a subscription into a window. It waits while the window is full, and
//! awaits the answer of each: accepted, rejected, or abandoned when the subscription ended without one.
//!
//! ```
//! use dapr_pluggable::delivery::{Ack, Closed, Deliveries, Gate, window};
//! use dapr_pluggable::pubsub::Message;
//!
//! /// Offers a message until it is accepted.
//! async fn insist(deliveries: &Deliveries, message: Message) -> Result<(), Closed> {
//!     while deliveries.deliver(message.clone()).await?.await != Ack::Accepted {}
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Closed> {
//! // The other end is a stream to a runtime, or a host, or a test.
//! let (deliveries, mut consumer) = window(8, &Gate::new());
//! let application = async {
//!     for ack in [Ack::Rejected("busy".to_owned()), Ack::Accepted] {
//!         let delivered = consumer.next().await.unwrap();
//!         consumer.settler().settle(delivered.id, ack).unwrap();
//!     }
//! };
//! let (outcome, ()) = tokio::join!(insist(&deliveries, Message::new("orders", "1")), application);
//! # outcome
//! # }
//! ```
//!
//! # Calling a component
//!
//! `client::Client` opens building blocks behind a socket; it is an [`Opener`] as [`Blocks`] is. What is written against
//! the traits does not know whether a component is in its process, or in what language it is written.
//!
//! ```no_run
//! use dapr_pluggable::client::Client;
//! use dapr_pluggable::state::GetRequest;
//! use dapr_pluggable::{Metadata, Opener, Result};
//!
//! async fn read(opener: &impl Opener) -> Result<()> {
//!     let store = opener.open_state_store(&"orders".into(), &Metadata::new()).await?;
//!     store.get(GetRequest::new("app||greeting")).await?;
//!     Ok(())
//! }
//!
//! # async fn call() -> Result<()> {
//! let client = Client::connect("/tmp/dapr-components-sockets/values.sock").await?;
//! read(&client).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to go from here
//!
//! The folder `examples` of the repository has a program for each question, `components/memory` a component with everything
//! that the traits offer.

pub mod binding;
mod blocks;
#[cfg(feature = "client")]
pub mod client;
mod component;
pub mod delivery;
mod dial;
mod error;
mod guard;
mod metadata;
mod observe;
mod opener;
#[cfg(feature = "program")]
pub mod program;
pub mod pubsub;
pub mod secret;
mod server;
mod services;
pub mod settings;
pub mod socket;
pub mod state;
#[cfg_attr(
    not(any(test, feature = "client")),
    expect(
        dead_code,
        reason = "a server reads one half of it and writes the other"
    )
)]
mod wire;

pub use async_trait::async_trait;
pub use bytes::Bytes;

pub use self::blocks::Blocks;
pub use self::component::{Block, Component, InstanceId, Open};
pub use self::error::{BoxError, Error, ErrorKind, Result, RuntimeFault, WireDetail, WireStatus};
pub use self::metadata::Metadata;
pub use self::opener::Opener;
#[cfg(feature = "program")]
pub use self::program::run;
pub use self::server::{OnLostInit, Server, Serving, Stop};

/// The Rust of the documents at the root and in the book, compiled.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/write-a-component.md")]
    struct WriteAComponent;
    #[doc = include_str!("../../docs/settings.md")]
    struct Settings;
    #[doc = include_str!("../../docs/delivery.md")]
    struct Delivery;
}
