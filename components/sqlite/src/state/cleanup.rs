//! Removes rows whose time to live is over.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::MissedTickBehavior;

use super::schema::Tables;
use crate::connection::atomically;
use crate::database::Database;
use crate::error::Fault;

/// Two processes on one database tick at slightly different times; what is nearly an interval counts as one.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Removes expired rows once an interval, for ever. Of several processes on one database one does it.
pub(super) async fn run(database: Arc<Database>, tables: Arc<Tables>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let tables = Arc::clone(&tables);
        let removed = database
            .write(move |connection| remove(connection, &tables, interval))
            .await;
        match removed {
            Ok(Some(rows)) => tracing::debug!(
                database = database.location().name(),
                rows,
                "removed expired values"
            ),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot remove expired values; trying again later")
            }
        }
    }
}

/// Removes expired rows, unless that was done less than an interval ago.
fn remove(
    connection: &Connection,
    tables: &Tables,
    interval: Duration,
) -> Result<Option<usize>, Fault> {
    let interval = interval.saturating_sub(TOLERANCE).as_millis();
    let interval = i64::try_from(interval).unwrap_or(i64::MAX);
    atomically(connection, || {
        let mut begin = connection.prepare_cached(&tables.begin_cleanup)?;
        if begin.execute([interval])? == 0 {
            return Ok(None);
        }
        let rows = connection.prepare_cached(&tables.cleanup)?.execute(())?;
        Ok(Some(rows))
    })
}
