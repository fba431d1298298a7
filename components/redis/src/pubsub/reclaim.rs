//! Messages that nobody works on any more: those of consumers that are gone, and those that were given up.

use std::time::Duration;

use redis::RedisResult;
use tokio::time::Instant;

use super::entry::Entry;
use super::group::Unacknowledged;
use super::id::EntryId;
use super::subscriber::Subscriber;

/// How many unacknowledged entries to look at in one go.
const PAGE: usize = 256;

/// Takes over what others have left, in rounds: each goes once through everything that is unacknowledged, page by page.
#[derive(Debug)]
pub(super) struct Reclaim {
    /// The pause between rounds, and how long nobody must have asked for an entry.
    times: Option<(Duration, Duration)>,
    /// Where to go on.
    position: EntryId,
    /// When to go on.
    due: Instant,
}

impl Reclaim {
    pub(super) fn new(subscriber: &Subscriber) -> Self {
        let rules = subscriber.rules();
        Self {
            times: rules.reclaim.zip(rules.patience),
            position: EntryId::START,
            due: Instant::now(),
        }
    }

    /// How long until there is something to do; `None` is for ever.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.times?;
        Some(self.due.saturating_duration_since(Instant::now()))
    }

    /// Begins a new round, one pause from now.
    pub(super) fn postpone(&mut self) {
        if let Some((interval, _)) = self.times {
            self.position = EntryId::START;
            // A time that the clock does not reach is put off a day at a time.
            let now = Instant::now();
            self.due = now
                .checked_add(interval)
                .unwrap_or(now + Duration::from_secs(86_400));
        }
    }

    /// Takes over up to `room` entries of the next page, each with the number of its deliveries.
    pub(super) async fn next(
        &mut self,
        subscriber: &Subscriber,
        room: usize,
    ) -> RedisResult<Vec<(Entry, u64)>> {
        let Some((_, idle)) = self.times else {
            return Ok(Vec::new());
        };
        let group = subscriber.group();
        let page = group.unacknowledged(self.position, PAGE).await?;
        // What is here is worked on, even where a renewal came late.
        let is_left =
            |entry: &&Unacknowledged| entry.idle >= idle && !subscriber.held().has(entry.id);
        let left: Vec<Unacknowledged> = page.iter().filter(is_left).take(room).copied().collect();
        let seen = if left.len() == room {
            left.last()
        } else {
            page.last()
        };
        let is_end = page.len() < PAGE && left.len() < room;
        match seen.and_then(|entry| entry.id.next()) {
            Some(next) if !is_end => self.position = next,
            _ => self.postpone(),
        }
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<EntryId> = left.iter().map(|entry| entry.id).collect();
        let claimed = group.claim(&ids, idle).await?;
        let deliveries = |id| {
            let before = left.iter().find(|entry| entry.id == id);
            before.map_or(1, |entry| entry.deliveries + 1)
        };
        let claimed = claimed.found.into_iter();
        Ok(claimed
            .map(|entry| {
                let deliveries = deliveries(entry.id);
                (entry, deliveries)
            })
            .collect())
    }
}
