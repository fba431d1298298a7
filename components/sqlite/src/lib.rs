//! Dapr state and publish/subscribe in a SQLite database: nothing to install, nothing to run beside the component.
//!
//! The state store keeps its rows as Dapr's own `state.sqlite` does: the same metadata keys, the same table, so that a
//! database written by one opens in the other. The broker is a durable queue in the same kind of file. Several processes
//! may use one file, for state and for messages.
//!
//! Every write goes through one thread per database, which puts what is waiting into one transaction; a caller hears of
//! success when that transaction is on the disk.

mod connection;
mod database;
mod error;
mod pubsub;
mod readers;
mod schema;
mod settings;
mod state;
mod writer;

use dapr_pluggable::Blocks;

pub use self::pubsub::SqlitePubSub;
pub use self::settings::{
    ConnectionSettings, OnMaxDelivery, SqlitePubSubSettings, SqliteStateSettings, Synchronous,
};
pub use self::state::SqliteStateStore;

/// The building blocks of this component.
#[must_use]
pub fn blocks() -> Blocks {
    Blocks::new()
        .state_store::<SqliteStateStore>()
        .pubsub::<SqlitePubSub>()
}
