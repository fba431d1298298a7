//! A group of consumers on a stream: what Redis is asked about it.
//!
//! The group and its only consumer have one name, as Dapr's own has it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisError, RedisResult, Value};

use super::entry::{Entries, items, read_entries, text};
use super::id::EntryId;
use crate::connection::{Connection, Dedicated};
use crate::error::misread;

/// A group on a stream.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) connection: Arc<Connection>,
    pub(super) topic: String,
    pub(super) name: Arc<str>,
}

/// An entry that was handed out and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unacknowledged {
    pub(super) id: EntryId,
    /// How long nobody has asked for it.
    pub(super) idle: Duration,
    pub(super) deliveries: u64,
}

impl Group {
    pub(super) fn new(connection: Arc<Connection>, topic: String, name: Arc<str>) -> Self {
        Self {
            connection,
            topic,
            name,
        }
    }

    /// A connection for what blocks.
    pub(super) fn connect(&self) -> Dedicated {
        self.connection.dedicated(&self.topic)
    }

    /// Makes the group, and the stream, where they are not there. It begins at the oldest entry.
    pub(super) async fn create(&self) -> RedisResult<()> {
        let mut create = redis::cmd("XGROUP");
        create
            .arg("CREATE")
            .arg(&self.topic)
            .arg(&*self.name)
            .arg("0")
            .arg("MKSTREAM");
        match self.connection.write(&create).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _ => Ok(()),
        }
    }

    /// The command that hands out up to `count` entries that nobody had yet. Where there are none it waits so long.
    pub(super) fn read(&self, count: usize, wait: Option<Duration>) -> Cmd {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&*self.name).arg(&*self.name);
        read.arg("COUNT").arg(count);
        if let Some(wait) = wait {
            // Zero would be for ever.
            read.arg("BLOCK").arg(millis(wait).max(1));
        }
        read.arg("STREAMS").arg(&self.topic).arg(">");
        read
    }

    /// The first `count` unacknowledged entries, whoever has them, from an id on.
    pub(super) async fn unacknowledged(
        &self,
        from: EntryId,
        count: usize,
    ) -> RedisResult<Vec<Unacknowledged>> {
        let mut command = redis::cmd("XPENDING");
        command.arg(&self.topic).arg(&*self.name);
        command.arg(from).arg("+").arg(count);
        let answer = self.connection.read(&command).await?;
        let read = |item| {
            let mut parts = items(item)?.into_iter();
            let id = EntryId::parse(&text(parts.next()?)?)?;
            // The consumer, which is always the same.
            parts.next()?;
            let mut number = || match parts.next()? {
                Value::Int(number) => u64::try_from(number).ok(),
                _ => None,
            };
            Some(Unacknowledged {
                id,
                idle: Duration::from_millis(number()?),
                deliveries: number()?,
            })
        };
        let entries: Option<Vec<_>> =
            items(answer).and_then(|entries| entries.into_iter().map(read).collect());
        entries.ok_or_else(|| misread("XPENDING"))
    }

    /// Takes entries that nobody has asked for in `idle`, which counts as one delivery more. What others were quicker to
    /// take, and what is deleted, is not among the answer.
    pub(super) async fn claim(&self, ids: &[EntryId], idle: Duration) -> RedisResult<Entries> {
        let mut command = self.claim_command(idle);
        command.arg(ids);
        let answer = self.connection.write(&command).await?;
        let entries = read_entries(answer).ok_or_else(|| misread("XCLAIM"))?;
        if entries.gone > 0 {
            self.forget_deleted(ids, &entries).await?;
        }
        Ok(entries)
    }

    /// The command by which entries that are being worked on count as just handed out.
    pub(super) fn renew(&self, ids: &[EntryId]) -> Cmd {
        let mut command = self.claim_command(Duration::ZERO);
        command.arg(ids).arg("JUSTID");
        command
    }

    /// The command by which entries count as untouched for so long.
    pub(super) fn give_back(&self, ids: &[EntryId], idle: Duration) -> Cmd {
        let mut command = self.claim_command(Duration::ZERO);
        command.arg(ids).arg("IDLE").arg(millis(idle)).arg("JUSTID");
        command
    }

    /// The command that acknowledges entries.
    pub(super) fn acknowledge(&self, ids: &[EntryId]) -> Cmd {
        let mut command = redis::cmd("XACK");
        command.arg(&self.topic).arg(&*self.name).arg(ids);
        command
    }

    fn claim_command(&self, idle: Duration) -> Cmd {
        let mut command = redis::cmd("XCLAIM");
        command.arg(&self.topic).arg(&*self.name).arg(&*self.name);
        command.arg(millis(idle));
        command
    }

    /// Acknowledges those of `ids` that are deleted from the stream. Since version 7 the server sees to it.
    async fn forget_deleted(&self, ids: &[EntryId], entries: &Entries) -> RedisResult<()> {
        let found: HashSet<EntryId> = entries.found.iter().map(|entry| entry.id).collect();
        let missing: Vec<EntryId> = ids
            .iter()
            .copied()
            .filter(|id| !found.contains(id))
            .collect();
        let looks: Vec<Cmd> = missing
            .iter()
            .map(|id| {
                let mut look = redis::cmd("XRANGE");
                look.arg(&self.topic).arg(*id).arg(*id);
                look
            })
            .collect();
        let answers = self.connection.read_all(&looks).await?;
        let mut deleted = Vec::new();
        for (id, answer) in missing.into_iter().zip(answers) {
            if items(answer?).is_some_and(|entries| entries.is_empty()) {
                deleted.push(id);
            }
        }
        if !deleted.is_empty() {
            self.connection.write(&self.acknowledge(&deleted)).await?;
        }
        Ok(())
    }
}

/// Whether an error says that there is no group, or that it was removed while somebody waited on it.
pub(super) fn is_group_gone(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
