//! From a queue to an application: what the broker and the input binding have in common.

use std::sync::Arc;

use dapr_pluggable::delivery::{Ack, Answer, Reply, Window};
use tokio::task::JoinSet;

use crate::queue::Queue;
use crate::settings::RedeliverySettings;

/// What an answer means for an item of a queue.
pub(crate) enum Outcome {
    Accepted,
    Rejected(String),
    Abandoned,
}

impl From<Ack> for Outcome {
    fn from(ack: Ack) -> Self {
        match ack {
            Ack::Accepted => Self::Accepted,
            Ack::Rejected(reason) => Self::Rejected(reason),
            _ => Self::Abandoned,
        }
    }
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        match reply {
            // What the application sent back is for a source that has a use for it; this one has none.
            Reply::Handled(_) => Self::Accepted,
            Reply::Failed(reason) => Self::Rejected(reason),
            _ => Self::Abandoned,
        }
    }
}

/// Delivers the items of a queue for as long as the window is open, and settles each by its answer.
pub(crate) async fn deliver<M, A>(
    queue: &Arc<Queue<M>>,
    window: Window<M, A>,
    settings: RedeliverySettings,
) where
    M: Clone + Send + Sync + 'static,
    A: Answer + Into<Outcome>,
{
    let reader = queue.reader();
    // A task for each item that is delivered and not settled: as many as the window has places.
    let mut unsettled = JoinSet::new();
    // An item is taken when it can be delivered, so that none is kept from other readers.
    while window.room().await.is_ok()
        && let Ok((item, lease)) = window.until_closed(reader.next()).await
        && let Ok(answer) = window.deliver(item).await
    {
        unsettled.spawn(async move {
            match answer.within(settings.visibility_timeout).await.into() {
                Outcome::Accepted => lease.accept(),
                Outcome::Rejected(reason) => {
                    tracing::debug!(reason, "rejected");
                    lease.reject(settings.redeliver_interval);
                }
                Outcome::Abandoned => drop(lease),
            }
        });
        while unsettled.try_join_next().is_some() {}
    }
    // Every item has its answer now, if only that there is none.
    while unsettled.join_next().await.is_some() {}
}
