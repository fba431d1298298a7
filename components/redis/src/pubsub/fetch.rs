//! Takes messages from a stream as there is room for them, and delivers them.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::delivery::Closed;
use redis::{RedisError, RedisResult};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::entry::{self, Entry, read_streams};
use super::group::is_group_gone;
use super::reclaim::Reclaim;
use super::settle::Delivered;
use super::subscriber::{Pause, Subscriber};
use crate::connection::Dedicated;
use crate::error::misread;

/// How long one read waits for a message. At the end of a subscription it is waited for, since what it may bring is to
/// be given back.
const WAIT: Duration = Duration::from_millis(500);

/// How long the end of a subscription waits for its last read.
const LAST_READ: Duration = Duration::from_secs(1);

/// How many answered messages may wait to be acknowledged before no more are taken.
const BACKLOG: usize = 4096;

/// How long to wait for more room while there is still work in the window.
const GATHER: Duration = Duration::from_millis(2);

/// The side of a subscription that takes messages.
pub(super) struct Fetch<'a> {
    subscriber: &'a Subscriber,
    delivered: mpsc::Sender<Delivered>,
    /// Where it waits for messages.
    connection: Dedicated,
    reclaim: Reclaim,
    /// Whether it is the turn of new messages while there are others left to take over.
    is_turn_of_new: bool,
    /// Whether the last read brought as many as it might, so that there may be more.
    has_more: bool,
}

/// Why nothing was taken.
enum Failure {
    Closed,
    Redis(RedisError),
}

impl<'a> Fetch<'a> {
    pub(super) fn new(subscriber: &'a Subscriber, delivered: mpsc::Sender<Delivered>) -> Self {
        Self {
            subscriber,
            delivered,
            connection: subscriber.group().connect(),
            reclaim: Reclaim::new(subscriber),
            is_turn_of_new: false,
            has_more: false,
        }
    }

    /// Runs until the subscription is over, whatever happens to Redis.
    pub(super) async fn run(mut self) -> Closed {
        let mut failing: Option<Pause> = None;
        loop {
            match self.fetch().await {
                Ok(()) => {
                    if failing.take().is_some() {
                        tracing::info!(
                            topic = self.subscriber.group().topic,
                            "messages come again"
                        );
                    }
                }
                Err(Failure::Closed) => return Closed,
                Err(Failure::Redis(error)) => {
                    let is_gone = is_group_gone(&error);
                    let is_first = failing.is_none();
                    if is_first {
                        self.subscriber
                            .warn(error, "cannot fetch messages; trying again");
                    }
                    // Others, and the renewals of this one, get to go first.
                    self.reclaim.postpone();
                    if is_gone && self.create_group().await && is_first {
                        failing = Some(Pause::default());
                        continue;
                    }
                    let pause = failing.get_or_insert_default().wait();
                    if self
                        .subscriber
                        .deliveries()
                        .until_closed(pause)
                        .await
                        .is_err()
                    {
                        return Closed;
                    }
                }
            }
        }
    }

    /// Waits for room and for messages, and delivers as many as there is room for.
    async fn fetch(&mut self) -> Result<(), Failure> {
        let subscriber = self.subscriber;
        let deliveries = subscriber.deliveries();
        deliveries
            .until_closed(subscriber.held().settled_to(BACKLOG))
            .await?;
        let room = self.room().await?.min(subscriber.rules().batch);
        let due_in = self.reclaim.due_in();
        if due_in != Some(Duration::ZERO) || self.is_turn_of_new {
            self.is_turn_of_new = false;
            let wait = due_in.map_or(WAIT, |due| due.min(WAIT));
            let entries = self
                .read(room, Some(wait).filter(|wait| !wait.is_zero()))
                .await?;
            return self.deliver(entries).await;
        }
        self.is_turn_of_new = true;
        let entries = self.reclaim.next(subscriber, room).await?;
        self.deliver(entries).await
    }

    /// Waits for room. A quick application soon makes more of it, and one read for all costs as much as one for each: so as
    /// long as more than half of the window is at work, that is waited for a moment.
    async fn room(&self) -> Result<usize, Closed> {
        let deliveries = self.subscriber.deliveries();
        let room = deliveries.room().await?;
        let missing = deliveries.in_flight().saturating_sub(room) / 2;
        if !self.has_more || missing == 0 {
            return Ok(room);
        }
        let gathered = timeout(GATHER, self.subscriber.held().answers(missing));
        // Whether or not it came to that.
        let _ = deliveries.until_closed(gathered).await?;
        deliveries.room().await
    }

    /// Reads new messages, up to `count`.
    async fn read(
        &mut self,
        count: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<(Entry, u64)>, Failure> {
        let group = self.subscriber.group();
        let command = group.read(count, wait);
        let limit = group.connection.limits().read + wait.unwrap_or_default();
        let read = self.connection.run(&command, limit);
        tokio::pin!(read);
        let answer = tokio::select! {
            answer = &mut read => answer?,
            () = self.subscriber.deliveries().closed() => {
                timeout(LAST_READ, read).await.map_err(|_| Failure::Closed)??
            }
        };
        let entries = read_streams(answer).ok_or_else(|| misread("XREADGROUP"))?;
        self.has_more = entries.found.len() == count;
        let entries = entries.found.into_iter();
        Ok(entries.map(|entry| (entry, 1)).collect())
    }

    async fn deliver(&self, entries: Vec<(Entry, u64)>) -> Result<(), Failure> {
        let (held, deliveries) = (self.subscriber.held(), self.subscriber.deliveries());
        // All of them are here from now on, delivered or not.
        held.add(entries.iter().map(|(entry, _)| entry.id));
        let topic = &self.subscriber.group().topic;
        for (Entry { id, fields }, count) in entries {
            let Some(fields) = fields else {
                tracing::debug!(topic, %id, "a message was deleted before it was delivered");
                held.handle(id);
                continue;
            };
            let place = match &self.subscriber.rules().places {
                None => None,
                Some(places) => {
                    let place = Arc::clone(places).acquire_owned();
                    deliveries.until_closed(place).await?.ok()
                }
            };
            let message = entry::message(topic, id, fields);
            let delivered = Delivered {
                id,
                deliveries: count,
                answer: deliveries.deliver(message).await?,
                place,
            };
            // It fails when nobody listens any more, which is the end.
            self.delivered
                .send(delivered)
                .await
                .map_err(|_| Failure::Closed)?;
        }
        Ok(())
    }

    async fn create_group(&self) -> bool {
        let created: RedisResult<()> = self.subscriber.group().create().await;
        created.is_ok()
    }
}

impl From<Closed> for Failure {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}
