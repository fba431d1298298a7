//! One subscription: claims what can be delivered, delivers it, and settles it by the answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dapr_pluggable::delivery::{Ack, Closed, Deliveries, PendingAck};
use dapr_pluggable::{Error, Result};
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::Broker;
use super::claim::{Claimed, claim};
use super::queue::{Claim, Consumer, Outcome, Outlook};
use crate::error::Fault;

/// How many messages one claim takes at most.
const BATCH: usize = 256;

/// How long to wait after a failure that may pass. A runtime does not open a stream again that has ended, so a
/// subscription lives through everything that may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// One subscription.
pub(super) struct Subscriber {
    lease: Arc<Lease>,
    deliveries: Deliveries,
    changes: watch::Receiver<()>,
    /// A task for each message that is delivered and not settled.
    unsettled: JoinSet<()>,
}

/// The claims of one subscription. When it is dropped they are given back.
struct Lease {
    broker: Arc<Broker>,
    consumer: Consumer,
    released: AtomicBool,
}

impl Subscriber {
    pub(super) fn new(
        broker: Arc<Broker>,
        topic: String,
        group: Arc<str>,
        deliveries: Deliveries,
    ) -> Self {
        let consumer = Consumer {
            topic: topic.into(),
            group,
            owner: Uuid::new_v4().to_string().into(),
        };
        Self {
            changes: broker.watch.subscribe(),
            lease: Arc::new(Lease {
                broker,
                consumer,
                released: AtomicBool::new(false),
            }),
            deliveries,
            unsettled: JoinSet::new(),
        }
    }

    /// Runs until the subscription is over.
    pub(super) async fn run(mut self) -> Result<()> {
        let lease = Arc::clone(&self.lease);
        let outcome = tokio::select! {
            outcome = self.deliver() => outcome,
            never = lease.renew() => match never {},
        };
        if outcome.is_ok() {
            // Every message has its answer now, if only that there is none.
            while self.unsettled.join_next().await.is_some() {}
        }
        lease.release().await;
        outcome
    }

    /// Delivers until the subscription is over.
    async fn deliver(&mut self) -> Result<()> {
        loop {
            match self.deliver_some().await {
                Ok(()) => {}
                Err(_) if self.deliveries.is_closed() => return Ok(()),
                Err(error) if error.is_transient() => {
                    self.lease
                        .warn(&error, "cannot fetch messages; trying again");
                    let pause = tokio::time::sleep(PAUSE);
                    if self.deliveries.until_closed(pause).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for room and for messages, and delivers as many as there is room for.
    async fn deliver_some(&mut self) -> Result<()> {
        let room = self.deliveries.room().await?;
        self.wait_for_messages().await?;
        for (claim, message) in self.lease.claim(room.min(BATCH)).await?.messages {
            let answer = self.deliveries.deliver(message).await?;
            let deliveries = self.deliveries.clone();
            self.unsettled
                .spawn(settle(Arc::clone(&self.lease), deliveries, claim, answer));
        }
        while self.unsettled.try_join_next().is_some() {}
        Ok(())
    }

    async fn wait_for_messages(&mut self) -> Result<()> {
        loop {
            // Before the look, so that what changes after it is not missed.
            self.changes.mark_unchanged();
            let outlook = self.lease.peek().await?;
            if outlook.ready {
                return Ok(());
            }
            let due = async {
                match outlook.next {
                    // The clock of the rows has milliseconds; not a moment too early.
                    Some(next) => tokio::time::sleep(next + Duration::from_millis(1)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.deliveries.closed() => return Err(Closed.into()),
                // It fails when the broker is gone, which this subscription keeps.
                _ = self.changes.changed() => {}
                () = due => {}
            }
        }
    }
}

/// Waits for the answer to a message and does at the queue what it says.
async fn settle(lease: Arc<Lease>, deliveries: Deliveries, claim: Claim, answer: PendingAck) {
    let patience = lease.broker.queue.visibility();
    let outcome = match answer.within(patience).await {
        Ack::Accepted => Outcome::Accepted,
        Ack::Rejected(reason) => {
            tracing::debug!(topic = %lease.consumer.topic, message = claim.message, reason, "rejected");
            Outcome::Rejected
        }
        // The end of the stream gives back everything at once.
        _ if deliveries.is_closed() => return,
        _ => Outcome::TimedOut,
    };
    loop {
        let Err(error) = lease.settle(claim, outcome).await else {
            return;
        };
        lease.warn(&error, "cannot settle a message");
        let pause = tokio::time::sleep(PAUSE);
        if !error.is_transient() || deliveries.until_closed(pause).await.is_err() {
            return;
        }
    }
}

impl Lease {
    async fn peek(&self) -> Result<Outlook> {
        let (queue, consumer) = (Arc::clone(&self.broker.queue), self.consumer.clone());
        let database = &self.broker.database;
        database
            .read(move |connection| queue.peek(connection, &consumer))
            .await
    }

    async fn claim(&self, limit: usize) -> Result<Claimed> {
        let (queue, consumer) = (Arc::clone(&self.broker.queue), self.consumer.clone());
        let database = &self.broker.database;
        let claimed = database
            .write(move |connection| claim(&queue, connection, &consumer, limit))
            .await?;
        if claimed.moved {
            self.broker.watch.bump();
        }
        Ok(claimed)
    }

    async fn settle(&self, claim: Claim, outcome: Outcome) -> Result<()> {
        let (queue, consumer) = (Arc::clone(&self.broker.queue), self.consumer.clone());
        let database = &self.broker.database;
        database
            .write(move |connection| queue.settle(connection, &consumer, claim, outcome))
            .await?;
        if !matches!(outcome, Outcome::Accepted) {
            self.broker.watch.bump();
        }
        Ok(())
    }

    /// Keeps the claims while the stream lives: what stands still on it is found out by the answers, not by the rows.
    async fn renew(&self) -> Infallible {
        let mut ticks = tokio::time::interval(self.broker.queue.visibility() / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let (queue, owner) = (
                Arc::clone(&self.broker.queue),
                Arc::clone(&self.consumer.owner),
            );
            let renewed = self
                .broker
                .database
                .write(move |connection| queue.renew(connection, &owner))
                .await;
            if let Err(error) = renewed {
                self.warn(&error, "cannot renew claims");
            }
        }
    }

    /// Gives the claims back, for others to have at once.
    async fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
        match self.broker.database.write(self.giving_back()).await {
            Ok(()) => self.broker.watch.bump(),
            Err(error) => self.warn(
                &error,
                "cannot give messages back; they come again after the visibility time-out",
            ),
        }
    }

    fn giving_back(&self) -> impl FnMut(&Connection) -> Result<(), Fault> + Send + 'static {
        let (queue, owner) = (
            Arc::clone(&self.broker.queue),
            Arc::clone(&self.consumer.owner),
        );
        move |connection| queue.release(connection, &owner)
    }

    fn warn(&self, error: &Error, message: &str) {
        let Consumer { topic, group, .. } = &self.consumer;
        tracing::warn!(%topic, %group, %error, "{message}");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A subscription that was not run to its end: nobody is left to wait for this.
        if !self.released.load(Ordering::Relaxed) {
            self.broker.database.write_detached(self.giving_back());
        }
    }
}
