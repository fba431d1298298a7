//! What tests stand on: patience, child processes that end with their test, peers in other gRPC stacks, and what is free
//! and unique.
//!
//! Everything here fails the test it is used in: what cannot be had is a panic that names it.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod http;
mod patience;
mod peer;
mod place;
mod process;
mod proxy;
mod redis;
mod skip;
mod subscriber;

pub use rustix::process::Signal;

pub use self::http::{HttpAnswer, HttpRequest};
pub use self::patience::{eventually, eventually_equal, patience, within};
pub use self::peer::Peer;
pub use self::place::{free_port, server_port, socket_folder, unique};
pub use self::process::Process;
pub use self::proxy::Proxy;
pub use self::redis::{
    Certificates, Redis, RedisBuilder, RedisCluster, RedisSentinel, RedisServers,
};
pub use self::skip::{rounds, skip, skip_missing};
pub use self::subscriber::{Subscriber, text};
