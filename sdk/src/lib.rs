//! Write and call Dapr pluggable components.

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
