//! The values that are being closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::{Guard, Kind};

/// How long a component may take to close.
const CLOSE_CAP: Duration = Duration::from_secs(5);

/// How long a value waits for its calls in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nobody waits for it, but its subscriptions end now.
    Replaced,
    /// As long as somebody uses it.
    Unused,
    /// Somebody waits for it, at most that long. Its subscriptions end now.
    Within(Duration),
}

/// The tasks that close values.
#[derive(Debug, Default)]
pub(super) struct Closing {
    tasks: TaskTracker,
    /// Lets no subscription go on any more.
    ending: CancellationToken,
    /// Waits for no call in flight any more.
    hurry: CancellationToken,
}

impl Closing {
    /// Starts to close a value, on the runtime that it was opened on.
    pub(super) fn start<K: Kind>(&self, guard: Arc<Guard<K>>, manner: Manner) -> JoinHandle<()> {
        let (ending, hurry) = (self.ending.clone(), self.hurry.clone());
        let home = guard.home().cloned();
        let close = async move {
            let sealed = tokio::select! {
                biased;
                sealed = guard.seal_when_idle() => sealed,
                () = overdue(&guard, manner, &ending, &hurry) => guard.seal(),
            };
            if sealed {
                finish(&guard).await;
            }
        };
        match home {
            Some(home) => self.tasks.spawn_on(close, &home),
            None => self.tasks.spawn(close),
        }
    }

    /// Ends the subscriptions of values that somebody still uses.
    pub(super) fn end_subscriptions(&self) {
        self.ending.cancel();
    }

    /// Waits until all are closed. Calls in flight have `patience` to end.
    pub(super) async fn finish(&self, patience: Duration) {
        self.tasks.close();
        self.end_subscriptions();
        if timeout(patience, self.tasks.wait()).await.is_err() {
            self.hurry.cancel();
            // The cap of each ends it, unless it blocks its thread.
            let all = CLOSE_CAP + Duration::from_secs(1);
            if timeout(all, self.tasks.wait()).await.is_err() {
                let values = self.tasks.len();
                tracing::warn!(
                    values,
                    "values block their threads while they close, and are left behind"
                );
            }
        }
    }
}

/// Ends the subscriptions when it is time, and returns when calls in flight are not waited for any more.
async fn overdue<K: Kind>(
    guard: &Guard<K>,
    manner: Manner,
    ending: &CancellationToken,
    hurry: &CancellationToken,
) {
    if manner == Manner::Unused {
        ending.cancelled().await;
    }
    guard.end_subscriptions();
    match manner {
        Manner::Within(wait) => drop(timeout(wait, hurry.cancelled()).await),
        Manner::Replaced | Manner::Unused => hurry.cancelled().await,
    }
}

async fn finish<K: Kind>(guard: &Guard<K>) {
    match timeout(CLOSE_CAP, guard.finish()).await {
        Ok(Ok(())) => tracing::debug!(value = ?guard, "closed"),
        Ok(Err(error)) => tracing::warn!(value = ?guard, %error, "failed to close"),
        Err(_) => tracing::warn!(value = ?guard, cap = ?CLOSE_CAP, "closing took too long"),
    }
}
