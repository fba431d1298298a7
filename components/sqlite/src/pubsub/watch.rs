//! Notices that the database has changed: at once what this broker did, within 20 ms what others did.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use super::Broker;

/// How often to look. To look costs some microseconds and happens only while somebody subscribes.
const INTERVAL: Duration = Duration::from_millis(20);

/// Tells subscriptions that something may have changed.
#[derive(Debug)]
pub(super) struct Watch {
    changes: watch::Sender<()>,
    arrived: Notify,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            changes: watch::Sender::new(()),
            arrived: Notify::new(),
        }
    }

    /// Changes from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        let changes = self.changes.subscribe();
        self.arrived.notify_one();
        changes
    }

    /// Something changed.
    pub(super) fn bump(&self) {
        self.changes.send_replace(());
    }
}

/// Looks for what others commit, for ever, on a connection of its own: SQLite's `data_version` changes with every commit
/// of any other connection, in whatever process. (In memory even a look of a subscription is a commit, so there each look
/// here leads to one there.)
pub(super) async fn run(broker: Arc<Broker>, connection: Connection) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        while broker.watch.changes.receiver_count() == 0 {
            broker.watch.arrived.notified().await;
        }
        ticks.tick().await;
        match version(&connection) {
            Ok(version) if known == Some(version) => {}
            Ok(version) => {
                known = Some(version);
                broker.watch.bump();
            }
            // A lock that is held this moment; the next look comes soon.
            Err(error) => tracing::debug!(%error, "cannot look for changes"),
        }
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row((), |row| row.get(0))
}
