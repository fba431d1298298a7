//! The light host: reads Dapr's resource files, opens the components that they name and keeps them for the application
//! APIs.

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
