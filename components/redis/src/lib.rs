//! Dapr state and publish/subscribe on Redis: a single server, a cluster, or a primary that sentinels watch.
//!
//! It takes over what Dapr's own `state.redis` and `pubsub.redis` have written, and they take over what it writes: the
//! same metadata keys, the same hashes and streams, the same consumer groups.
//!
//! The commands of one value share a connection to each server, on which they are pipelined; what blocks has a
//! connection of its own. A connection that breaks is opened again in the background, while calls fail at once.

mod connection;
mod error;
mod pubsub;
mod script;
mod settings;
mod state;

use dapr_pluggable::Blocks;

pub use self::pubsub::RedisPubSub;
pub use self::settings::{ConnectionSettings, NackPolicy, RedisPubSubSettings, RedisStateSettings};
pub use self::state::RedisStateStore;

/// The building blocks of this component.
#[must_use]
pub fn blocks() -> Blocks {
    Blocks::new()
        .state_store::<RedisStateStore>()
        .pubsub::<RedisPubSub>()
}
