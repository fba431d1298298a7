//! What happens to messages, in SQL. Everything here runs inside a transaction.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dapr_pluggable::settings::Ttl;
use dapr_pluggable::{Bytes, Error, Metadata, Result};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::schema::Tables;
use crate::connection::atomically;
use crate::error::Fault;
use crate::settings::SqlitePubSubSettings;

/// The queue: the statements and the rules of redelivery.
#[derive(Debug)]
pub(super) struct Queue {
    tables: Arc<Tables>,
    visibility: Duration,
    redelivery: Duration,
    retention: Duration,
    /// How often a message comes at most; zero is no limit.
    most: u32,
    /// Where a message goes that came so often. Without it, it is dropped.
    dead_letters: Option<String>,
}

/// A message to be published.
#[derive(Debug)]
pub(super) struct NewMessage {
    data: Bytes,
    metadata: String,
    content_type: Option<String>,
    ttl: Option<Duration>,
}

impl NewMessage {
    /// Checks what there is to check. The time to live of `shared` counts where the message has none of its own.
    pub(super) fn new(
        data: Bytes,
        metadata: &Metadata,
        content_type: Option<String>,
        shared: Option<&Metadata>,
    ) -> Result<Self> {
        let ttl = match (Ttl::from_metadata(metadata)?, shared) {
            (Ttl::Absent, Some(shared)) => Ttl::from_metadata(shared)?,
            (ttl, _) => ttl,
        };
        Ok(Self {
            data,
            metadata: serde_json::to_string(metadata.as_map()).map_err(|error| {
                Error::internal("cannot write the metadata of a message").with_source(error)
            })?,
            content_type,
            ttl: match ttl {
                Ttl::Seconds(seconds) => Some(Duration::from_secs(seconds.into())),
                Ttl::Absent | Ttl::Never => None,
            },
        })
    }
}

/// One of the ends of a subscription.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) topic: Arc<str>,
    pub(super) group: Arc<str>,
    /// A name that no other subscription has.
    pub(super) owner: Arc<str>,
}

/// A message that a consumer has until it settles it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) group: i64,
    pub(super) message: i64,
}

/// What became of a claimed message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// It was handled.
    Accepted,
    /// It was not, and may come again.
    Rejected,
    /// No answer came in time.
    TimedOut,
}

/// What a consumer can expect.
#[derive(Debug)]
pub(super) struct Outlook {
    /// Whether there is something to claim now.
    pub(super) ready: bool,
    /// In what time there is, if nothing else happens.
    pub(super) next: Option<Duration>,
}

impl Queue {
    pub(super) fn new(tables: Arc<Tables>, settings: &SqlitePubSubSettings) -> Self {
        Self {
            tables,
            visibility: settings.visibility_timeout,
            redelivery: settings.redeliver_interval,
            retention: settings.retention,
            most: settings.max_delivery_count,
            dead_letters: settings.dead_letter_topic().map(str::to_owned),
        }
    }

    /// For how long a claim holds unless it is renewed.
    pub(super) fn visibility(&self) -> Duration {
        self.visibility
    }

    /// Appends messages to a topic, all or none.
    pub(super) fn publish(
        &self,
        connection: &Connection,
        topic: &str,
        messages: &[NewMessage],
    ) -> Result<(), Fault> {
        let now = now();
        let mut insert = connection.prepare_cached(&self.tables.publish)?;
        let mut append = |message: &NewMessage| {
            insert.execute(params![
                topic,
                now,
                message.ttl.map(|ttl| after(now, ttl)),
                message.content_type,
                message.metadata,
                &*message.data
            ])
        };
        match messages {
            [message] => append(message).map(drop).map_err(Fault::from),
            _ => atomically(connection, || {
                messages
                    .iter()
                    .try_for_each(|message| append(message).map(drop))
            })
            .map_err(Fault::Sqlite),
        }
    }

    /// Looks whether there is something to claim, without a claim.
    pub(super) fn peek(
        &self,
        connection: &Connection,
        consumer: &Consumer,
    ) -> Result<Outlook, Fault> {
        let now = now();
        let mut statement = connection.prepare_cached(&self.tables.peek)?;
        let place = params![consumer.topic, consumer.group, now, consumer.owner];
        Ok(statement.query_row(place, |row| {
            let next: Option<i64> = row.get(1)?;
            Ok(Outlook {
                ready: row.get(0)?,
                next: next.map(|next| {
                    Duration::from_millis(u64::try_from(next - now).unwrap_or_default())
                }),
            })
        })?)
    }

    /// Does with a claimed message what its outcome asks, and says whether it was put before other consumers.
    pub(super) fn settle(
        &self,
        connection: &Connection,
        consumer: &Consumer,
        claim: Claim,
        outcome: Outcome,
    ) -> Result<bool, Fault> {
        let now = now();
        match outcome {
            // Handled is handled, even if the claim ran out meanwhile and another consumer has it.
            Outcome::Accepted => {
                atomically(connection, || self.remove(connection, claim))?;
                Ok(false)
            }
            Outcome::Rejected => {
                self.fail(connection, consumer, claim, after(now, self.redelivery))
            }
            Outcome::TimedOut => self.fail(connection, consumer, claim, now),
        }
    }

    /// Lets a message come again from a time on, unless it came too often. Says whether it went to the dead-letter topic.
    fn fail(
        &self,
        connection: &Connection,
        consumer: &Consumer,
        claim: Claim,
        at: i64,
    ) -> Result<bool, Fault> {
        let Claim { group, message } = claim;
        atomically(connection, || {
            let mut statement = connection.prepare_cached(&self.tables.attempts)?;
            let place = params![group, message, consumer.owner];
            let attempts = statement.query_row(place, |row| row.get(0)).optional()?;
            if attempts.is_some_and(|attempts| self.is_last(attempts, &consumer.topic)) {
                return self.retire(connection, consumer, claim, now());
            }
            connection
                .prepare_cached(&self.tables.give_back)?
                .execute(params![group, message, consumer.owner, at])?;
            Ok(false)
        })
    }

    /// Gives back whatever a consumer has. That is no attempt.
    pub(super) fn release(&self, connection: &Connection, owner: &str) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(&self.tables.release)?;
        statement.execute(params![owner, now()])?;
        Ok(())
    }

    /// Makes the claims of a consumer hold for the visibility time-out from now.
    pub(super) fn renew(&self, connection: &Connection, owner: &str) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(&self.tables.renew)?;
        statement.execute(params![owner, after(now(), self.visibility)])?;
        Ok(())
    }

    /// Removes the messages whose time is over or that nobody needs any more, and says how many.
    pub(super) fn sweep(&self, connection: &Connection) -> Result<usize, Fault> {
        let now = now();
        let execute =
            |sql: &str, place: &[&dyn ToSql]| connection.prepare_cached(sql)?.execute(place);
        atomically(connection, || {
            let mut removed = execute(&self.tables.sweep_expired, &[&now])?;
            execute(&self.tables.sweep_deliveries, &[])?;
            let mut statement = connection.prepare_cached(&self.tables.topics)?;
            let topics = statement.query_map((), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            for (topic, position) in topics.collect::<rusqlite::Result<Vec<_>>>()? {
                removed += match position {
                    Some(position) => execute(&self.tables.sweep_settled, &[&topic, &position])?,
                    None => {
                        let kept = now.saturating_sub(millis(self.retention));
                        execute(&self.tables.sweep_kept, &[&topic, &kept])?
                    }
                };
            }
            Ok(removed)
        })
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether a message that came so often does not come again. On the dead-letter topic there is no limit: it would
    /// go round in circles.
    pub(super) fn is_last(&self, attempts: u32, topic: &str) -> bool {
        self.most > 0 && attempts >= self.most && self.dead_letters.as_deref() != Some(topic)
    }

    /// Takes a message that came too often out of its group, and says whether it went to the dead-letter topic.
    pub(super) fn retire(
        &self,
        connection: &Connection,
        consumer: &Consumer,
        claim: Claim,
        now: i64,
    ) -> Result<bool, Fault> {
        let Claim { message, .. } = claim;
        if let Some(topic) = &self.dead_letters {
            connection
                .prepare_cached(&self.tables.copy)?
                .execute(params![message, topic, now])?;
        }
        tracing::warn!(
            topic = &*consumer.topic,
            group = &*consumer.group,
            message,
            dead_letter_topic = self.dead_letters.as_deref(),
            deliveries = self.most,
            "a message came too often and is taken out of its group"
        );
        self.remove(connection, claim)?;
        Ok(self.dead_letters.is_some())
    }

    /// Takes a message out of a group, and out of the queue when no other group needs it.
    pub(super) fn remove(&self, connection: &Connection, claim: Claim) -> Result<(), Fault> {
        let Claim { group, message } = claim;
        connection
            .prepare_cached(&self.tables.settle)?
            .execute([group, message])?;
        connection
            .prepare_cached(&self.tables.remove)?
            .execute([message])?;
        Ok(())
    }
}

/// Milliseconds since 1970. Processes on one database are on one machine, so they have one clock.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    millis(since.unwrap_or_default())
}

pub(super) fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(millis(duration))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
