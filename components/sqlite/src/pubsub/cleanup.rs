//! Removes messages whose time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Broker;

/// Sweeps once an interval, for ever, first at once. That several processes do it on one database does no harm.
pub(super) async fn run(broker: Arc<Broker>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let queue = Arc::clone(&broker.queue);
        let swept = broker
            .database
            .write(move |connection| queue.sweep(connection))
            .await;
        match swept {
            Ok(messages) => tracing::debug!(messages, "removed messages whose time is over"),
            Err(error) => tracing::warn!(%error, "cannot remove messages; trying again later"),
        }
    }
}
