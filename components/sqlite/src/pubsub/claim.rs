//! Claims messages for a consumer.

use std::collections::HashMap;

use dapr_pluggable::Bytes;
use dapr_pluggable::pubsub::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::queue::{Claim, Consumer, Queue, after, now};
use crate::connection::atomically;
use crate::error::Fault;

/// What a consumer got.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) messages: Vec<(Claim, Message)>,
    /// Whether a message went to the dead-letter topic.
    pub(super) moved: bool,
}

/// Claims up to `limit` messages, the oldest first: those that come again, then those that no consumer of the group has
/// had. A group that is not there yet begins at the oldest message kept.
pub(super) fn claim(
    queue: &Queue,
    connection: &Connection,
    consumer: &Consumer,
    limit: usize,
) -> Result<Claimed, Fault> {
    atomically(connection, || {
        let (group, position) = join(queue, connection, consumer)?;
        let now = now();
        let mut claiming = Claiming {
            queue,
            connection,
            consumer,
            group,
            now,
            until: after(now, queue.visibility()),
            claimed: Claimed::default(),
        };
        let again = claiming.again(limit)?;
        claiming.fresh(position, limit - again)?;
        Ok(claiming.claimed)
    })
}

/// The group and its position.
fn join(queue: &Queue, connection: &Connection, consumer: &Consumer) -> Result<(i64, i64), Fault> {
    let place = params![consumer.topic, consumer.group];
    let find = || {
        let mut statement = connection.prepare_cached(&queue.tables().group)?;
        statement.query_row(place, |row| Ok((row.get(0)?, row.get(1)?)))
    };
    if let Some(group) = find().optional()? {
        return Ok(group);
    }
    connection
        .prepare_cached(&queue.tables().join)?
        .execute(place)?;
    Ok(find()?)
}

struct Claiming<'a> {
    queue: &'a Queue,
    connection: &'a Connection,
    consumer: &'a Consumer,
    group: i64,
    now: i64,
    until: i64,
    claimed: Claimed,
}

impl Claiming<'_> {
    /// Claims messages that were rejected or whose consumer is gone. Says how many there were.
    fn again(&mut self, limit: usize) -> Result<usize, Fault> {
        let tables = self.queue.tables();
        let mut statement = self.connection.prepare_cached(&tables.due)?;
        let place = params![self.group, self.now, count(limit)];
        let due = statement.query_map(place, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?))
        })?;
        let due = due.collect::<rusqlite::Result<Vec<_>>>()?;
        for &(message, attempts) in &due {
            let claim = Claim {
                group: self.group,
                message,
            };
            if self.queue.is_last(attempts, &self.consumer.topic) {
                let moved = self
                    .queue
                    .retire(self.connection, self.consumer, claim, self.now)?;
                self.claimed.moved |= moved;
                continue;
            }
            let mut statement = self.connection.prepare_cached(&tables.message)?;
            let stored = statement
                .query_row([message], |row| Stored::new(row, &self.consumer.topic))
                .optional()?;
            match stored {
                Some(stored) if !stored.is_expired(self.now) => {
                    self.connection
                        .prepare_cached(&tables.claim_again)?
                        .execute(params![
                            self.group,
                            message,
                            self.until,
                            self.consumer.owner
                        ])?;
                    self.claimed.messages.push((claim, stored.message));
                }
                _ => self.queue.remove(self.connection, claim)?,
            }
        }
        Ok(due.len())
    }

    /// Claims messages after the group's position.
    fn fresh(&mut self, position: i64, limit: usize) -> Result<(), Fault> {
        let tables = self.queue.tables();
        let mut statement = self.connection.prepare_cached(&tables.fresh)?;
        let place = params![self.consumer.topic, position, count(limit)];
        let fresh = statement.query_map(place, |row| Stored::new(row, &self.consumer.topic))?;
        let fresh = fresh.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(last) = fresh.last() else {
            return Ok(());
        };
        self.connection
            .prepare_cached(&tables.advance)?
            .execute([self.group, last.id])?;
        for stored in fresh {
            let claim = Claim {
                group: self.group,
                message: stored.id,
            };
            if stored.is_expired(self.now) {
                self.queue.remove(self.connection, claim)?;
                continue;
            }
            self.connection
                .prepare_cached(&tables.claim)?
                .execute(params![
                    self.group,
                    stored.id,
                    self.until,
                    self.consumer.owner
                ])?;
            self.claimed.messages.push((claim, stored.message));
        }
        Ok(())
    }
}

/// A message as its row has it.
struct Stored {
    id: i64,
    expires_at: Option<i64>,
    message: Message,
}

impl Stored {
    fn new(row: &Row<'_>, topic: &str) -> rusqlite::Result<Self> {
        let id = row.get(0)?;
        let metadata: String = row.get(3)?;
        // Written by this component; what somebody else made of it must not keep the message back.
        let metadata: HashMap<String, String> =
            serde_json::from_str(&metadata).unwrap_or_else(|error| {
                tracing::warn!(topic, message = id, %error, "a message has metadata that cannot be read");
                HashMap::new()
            });
        let data: Vec<u8> = row.get(4)?;
        let mut message = Message::new(topic, Bytes::from(data)).with_metadata(metadata.into());
        message.content_type = row.get(2)?;
        Ok(Self {
            id,
            expires_at: row.get(1)?,
            message,
        })
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
