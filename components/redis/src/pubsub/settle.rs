//! What becomes of messages by their answers.

use std::time::Duration;

use dapr_pluggable::delivery::{Ack, PendingAck};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::id::EntryId;
use super::subscriber::Subscriber;
use crate::settings::NackPolicy;

/// A message that was delivered.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) id: EntryId,
    /// How often it was, with this time.
    pub(super) deliveries: u64,
    pub(super) answer: PendingAck,
    /// Its place among all that may be unanswered at once.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Listens to the answers of one subscription.
pub(super) struct Settle<'a> {
    subscriber: &'a Subscriber,
    delivered: mpsc::Receiver<Delivered>,
}

impl<'a> Settle<'a> {
    pub(super) fn new(subscriber: &'a Subscriber, delivered: mpsc::Receiver<Delivered>) -> Self {
        Self {
            subscriber,
            delivered,
        }
    }

    /// Runs until nothing more is delivered and everything has its answer, if only that there is none.
    pub(super) async fn run(mut self) {
        let patience = self.subscriber.rules().patience;
        let mut unanswered = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !unanswered.is_empty() {
            tokio::select! {
                Some((id, deliveries, ack)) = unanswered.next() => self.settle(id, deliveries, ack),
                next = self.delivered.recv(), if is_open => match next {
                    Some(delivered) => unanswered.push(answer(delivered, patience)),
                    None => is_open = false,
                },
            }
        }
    }

    fn settle(&self, id: EntryId, deliveries: u64, ack: Ack) {
        let (held, rules) = (self.subscriber.held(), self.subscriber.rules());
        match ack {
            Ack::Accepted => held.handle(id),
            Ack::Rejected(reason) => {
                let group = self.subscriber.group();
                let (topic, group) = (&group.topic, &group.name);
                let is_last = rules.most > 0 && deliveries >= rules.most;
                match rules.on_reject {
                    NackPolicy::Redeliver if !is_last => {
                        tracing::debug!(topic, %group, %id, deliveries, reason, "rejected");
                        held.leave(id);
                        return;
                    }
                    NackPolicy::Redeliver => tracing::warn!(
                        topic, %group, %id, deliveries, reason,
                        "a message was rejected for the last time and does not come again"
                    ),
                    NackPolicy::Ack => tracing::warn!(
                        topic, %group, %id, reason,
                        "a message was rejected and does not come again"
                    ),
                }
                held.handle(id);
            }
            // The end of the subscription gives back everything at once.
            _ if self.subscriber.deliveries().is_closed() => {}
            _ => held.give_back(id),
        }
    }
}

/// Waits for the answer to a message, for so long at most.
async fn answer(delivered: Delivered, patience: Option<Duration>) -> (EntryId, u64, Ack) {
    let Delivered {
        id,
        deliveries,
        answer,
        place,
    } = delivered;
    let ack = match patience {
        Some(patience) => answer.within(patience).await,
        None => answer.await,
    };
    drop(place);
    (id, deliveries, ack)
}
