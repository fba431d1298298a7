//! The light host: reads Dapr's resource files, opens the components that they name and keeps them for the application
//! APIs.
//!
//! [`Host`] is what a program sets up and starts, [`Running`] what it has then: a [`Registry`] of open components, which
//! [`api`] serves to the application. A component is found on a socket, or in the [`Catalogue`] of the program; one that
//! is not there yet is opened when it comes.
//!
//! ```no_run
//! # async fn example(listener: tokio::net::TcpListener) -> dapr_pluggable::Result<()> {
//! use std::sync::Arc;
//!
//! use dapr_pluggable_host::api::Api;
//! use dapr_pluggable_host::{Environment, Host};
//!
//! let host = Host::new("app")
//!     .resources_path("resources")
//!     .environment(Environment::of_process());
//! let running = host.start().await?;
//! let api = Api::new(
//!     running.app_id(),
//!     Arc::clone(running.registry()),
//!     running.readiness().clone(),
//!     running.shutdown().clone(),
//! );
//! // Until the application posts to /v1.0/shutdown.
//! api.serve(listener).await;
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod api;
mod catalogue;
mod environment;
mod host;
mod key_prefix;
mod loader;
mod opening;
mod properties;
mod readiness;
mod registry;
mod resource;
mod sockets;
mod target;

pub use self::catalogue::Catalogue;
pub use self::environment::Environment;
pub use self::host::{Host, Running};
pub use self::key_prefix::{KeyPrefix, PrefixContext};
pub use self::readiness::Readiness;
pub use self::registry::{
    BindingComponent, ComponentInfo, Components, Identity, OpenComponent, PubSubComponent,
    Registry, SecretComponent, StateComponent, WaitingComponent,
};
pub use self::resource::{
    ComponentResource, DEFAULT_INIT_TIMEOUT, Problem, Property, Resources, ScopeFilter,
    SecretKeyRef, Source,
};
