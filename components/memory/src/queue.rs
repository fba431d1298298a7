//! A bounded queue whose items come again until they are settled.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many unsettled items a queue holds.
pub(crate) const LENGTH: usize = 10_000;

/// The longest wait of a rejected item, unless the first is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Items in the order in which they were pushed. One that is taken is held by a [`Lease`]; it comes again, before those
/// pushed after it, unless that says that it is done.
///
/// When it is full, who pushes waits for a slot. Where nobody reads there is nobody to wait for: it forgets the oldest.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<Items<T>>,
    /// There is something new to take, or something again.
    changed: Notify,
    slots: Arc<Semaphore>,
}

#[derive(Debug)]
struct Items<T> {
    ready: BTreeMap<u64, Item<T>>,
    /// What was rejected, by the end of its wait.
    waiting: BTreeMap<(Instant, u64), Item<T>>,
    pushed: u64,
    readers: usize,
}

#[derive(Debug)]
struct Item<T> {
    content: T,
    place: u64,
    rejections: u32,
    /// When it is of no use any more.
    end: Option<Instant>,
    _slot: Slot,
}

/// Room for one item.
#[derive(Debug)]
pub(crate) struct Slot(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new(LENGTH)
    }
}

impl<T> Queue<T> {
    fn new(length: usize) -> Self {
        Self {
            items: Mutex::new(Items {
                ready: BTreeMap::new(),
                waiting: BTreeMap::new(),
                pushed: 0,
                readers: 0,
            }),
            changed: Notify::new(),
            slots: Arc::new(Semaphore::new(length)),
        }
    }

    /// Room for an item, or `None` when there is none until the deadline.
    pub(crate) async fn reserve(&self, deadline: Instant) -> Option<Slot> {
        if self.slots.available_permits() == 0 {
            self.items().forget_if_unread();
        }
        let slot = Arc::clone(&self.slots).acquire_owned();
        let slot = tokio::time::timeout_at(deadline, slot).await.ok()?.ok()?;
        Some(Slot(slot))
    }

    /// Room for an item if there is some now.
    pub(crate) fn try_reserve(&self) -> Option<Slot> {
        Arc::clone(&self.slots).try_acquire_owned().ok().map(Slot)
    }

    /// Appends an item that is of no use after `end`.
    pub(crate) fn push(&self, slot: Slot, content: T, end: Option<Instant>) {
        let mut items = self.items();
        items.pushed += 1;
        let place = items.pushed;
        let item = Item {
            content,
            place,
            rejections: 0,
            end,
            _slot: slot,
        };
        items.ready.insert(place, item);
        drop(items);
        self.changed.notify_waiters();
    }

    /// Someone who takes items. Each item goes to one reader at a time.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader<T> {
        self.items().readers += 1;
        Reader(Arc::clone(self))
    }

    fn items(&self) -> MutexGuard<'_, Items<T>> {
        // Every change is one step, so a panic elsewhere leaves the queue whole.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, item: Item<T>) {
        self.items().ready.insert(item.place, item);
        self.changed.notify_waiters();
    }
}

impl<T> Items<T> {
    /// The first item that is to be had, or else when the next one may be.
    fn take(&mut self, now: Instant) -> Result<Item<T>, Option<Instant>> {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            let item = first.remove();
            self.ready.insert(item.place, item);
        }
        while let Some((_, item)) = self.ready.pop_first() {
            if item.end.is_none_or(|end| now < end) {
                return Ok(item);
            }
        }
        Err(self.waiting.keys().next().map(|(at, _)| *at))
    }

    fn forget_if_unread(&mut self) {
        if self.readers == 0 {
            let forgotten = self.ready.pop_first().is_some() || self.waiting.pop_first().is_some();
            tracing::warn!(forgotten, "a queue that nobody reads is full");
        }
    }
}

/// Someone who takes items.
#[derive(Debug)]
pub(crate) struct Reader<T>(Arc<Queue<T>>);

impl<T: Clone> Reader<T> {
    /// The next item, as soon as there is one, and the lease on it.
    pub(crate) async fn next(&self) -> (T, Lease<T>) {
        let queue = &self.0;
        loop {
            // Before the look, so that what changes after it is not missed.
            let changed = queue.changed.notified();
            let taken = queue.items().take(Instant::now());
            match taken {
                Ok(item) => {
                    let content = item.content.clone();
                    let queue = Arc::clone(queue);
                    let item = Some(item);
                    return (content, Lease { queue, item });
                }
                Err(Some(due)) => {
                    // Both ends of the wait lead to another look.
                    let _ = tokio::time::timeout_at(due, changed).await;
                }
                Err(None) => changed.await,
            }
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.0.items().readers -= 1;
    }
}

/// The right to settle an item. When it is dropped the item goes back to its place, for any reader to take.
#[derive(Debug)]
pub(crate) struct Lease<T> {
    queue: Arc<Queue<T>>,
    item: Option<Item<T>>,
}

impl<T> Lease<T> {
    /// The item is done and does not come again.
    pub(crate) fn accept(mut self) {
        self.item = None;
    }

    /// The item comes again, after a wait that each rejection doubles.
    pub(crate) fn reject(mut self, first_wait: Duration) {
        if let Some(mut item) = self.item.take() {
            let times = 1_u32.checked_shl(item.rejections).unwrap_or(u32::MAX);
            let wait = first_wait.saturating_mul(times);
            let wait = wait.min(LONGEST_WAIT.max(first_wait));
            item.rejections += 1;
            let due = (Instant::now() + wait, item.place);
            self.queue.items().waiting.insert(due, item);
            self.queue.changed.notify_waiters();
        }
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.queue.put_back(item);
        }
    }
}
