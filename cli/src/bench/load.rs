//! The load: threads that keep calls in flight, each call followed by the next.
//!
//! Each thread has a runtime of its own, and connections that live on it. So the side that measures costs as little as it can,
//! and its calls do not move between threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use dapr_pluggable::state::{DeleteRequest, SetRequest, StateStore};
use dapr_pluggable::{Error, ErrorKind};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::plan::{Operation, Plan};
use super::slot::{Peer, Slot};
use super::tally::Tally;
use crate::call::target::{Target, described};

/// How many keys are written or removed, and messages published, at the same time.
pub(super) const AT_ONCE: usize = 64;
/// How long an answer may take once nothing more is asked, and while keys are written or removed.
pub(super) const ANSWER_CAP: Duration = Duration::from_secs(30);
/// How long the calls in flight have to end after the load was called off.
pub(super) const CALLED_OFF_CAP: Duration = Duration::from_secs(5);
/// Who failed waits a little: a server that is gone would make it run idle.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// When operations count: those that end in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start: Instant,
    pub(super) end: Instant,
}

/// Writes the value of every key.
pub(super) async fn write(
    store: &dyn StateStore,
    keys: &[String],
    value: &Bytes,
) -> Result<(), Error> {
    let writes = keys
        .iter()
        .map(|key| Ok(answered(store.set(SetRequest::new(key, value.clone())))));
    stream::iter(writes)
        .try_for_each_concurrent(AT_ONCE, |write| write)
        .await
}

/// Removes every key, also after one that failed; but whoever gives no answer is not asked for the rest.
pub(super) async fn remove(store: &dyn StateStore, keys: &[String]) -> Result<(), Error> {
    let mut removals = stream::iter(keys)
        .map(|key| answered(store.delete(DeleteRequest::new(key))))
        .buffer_unordered(AT_ONCE);
    let mut outcome = Ok(());
    while let Some(removed) = removals.next().await {
        let is_unanswered = matches!(&removed, Err(error) if *error.kind() == ErrorKind::TimedOut);
        outcome = outcome.and(removed);
        if is_unanswered {
            break;
        }
    }
    outcome
}

/// A call with a limit to how long its answer may take.
pub(super) async fn answered<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(ANSWER_CAP, call).await.unwrap_or_else(|_| {
        let text = format!("no answer within {ANSWER_CAP:?}");
        Err(Error::new(ErrorKind::TimedOut, text))
    })
}

/// The threads, connected and ready.
pub(super) struct Crew {
    threads: JoinSet<Result<Tally>>,
    /// Dropped to call the load off.
    begin: watch::Sender<Option<Window>>,
}

impl Crew {
    /// Makes as many threads as there are connections, or processors if those are fewer, and connects.
    pub(super) async fn gather(
        plan: &Plan,
        keys: &[String],
        target: impl Fn() -> Target,
    ) -> Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let count = processors.min(plan.connections as usize);
        let (begin, began) = watch::channel(None);
        let mut threads = JoinSet::new();
        let mut connected = Vec::new();
        for number in 0..count {
            let connections = (number..plan.connections as usize).step_by(count);
            let share = Share {
                operation: plan.operation,
                target: target(),
                connections: connections
                    .map(|connection| slots(plan, connection, keys))
                    .collect(),
                began: began.clone(),
            };
            let (sender, receiver) = oneshot::channel();
            connected.push(receiver);
            threads.spawn_blocking(move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                runtime
                    .context("start a runtime")?
                    .block_on(share.run(sender))
            });
        }
        for connection in connected {
            connection.await.context("start the load")??;
        }
        Ok(Self { threads, begin })
    }

    /// Begins the load, which ends with the window.
    pub(super) fn start(&mut self, window: Window) {
        self.begin.send_replace(Some(window));
    }

    /// What came of all operations.
    pub(super) async fn tally(&mut self) -> Result<Tally> {
        let mut all = Tally::new()?;
        while let Some(thread) = self.threads.join_next().await {
            all.add(thread.context("wait for a thread")??)?;
        }
        Ok(all)
    }

    /// Ends the load before its time, and waits for the calls in flight.
    pub(super) async fn call_off(mut self) {
        drop(self.begin);
        let ended = async { while self.threads.join_next().await.is_some() {} };
        // Who has no answer by then holds nobody up any longer.
        let _ = timeout(CALLED_OFF_CAP, ended).await;
    }
}

/// What one thread does.
struct Share {
    operation: Operation,
    target: Target,
    /// The calls in flight on each connection.
    connections: Vec<Vec<Slot>>,
    began: watch::Receiver<Option<Window>>,
}

impl Share {
    async fn run(mut self, connected: oneshot::Sender<Result<()>>) -> Result<Tally> {
        let mut lanes = Vec::new();
        for slots in self.connections {
            match Peer::connect(&self.target, self.operation).await {
                Ok(peer) => lanes.extend(slots.into_iter().map(|slot| Lane {
                    peer: peer.clone(),
                    slot,
                })),
                Err(error) => {
                    // Whoever waits for it tells people; without anybody there is nobody to tell.
                    let _ = connected.send(Err(error));
                    return Tally::new();
                }
            }
        }
        let _ = connected.send(Ok(()));
        let window = self.began.wait_for(Option::is_some).await;
        let window = window.ok().and_then(|window| *window);
        let window = window.ok_or_else(|| anyhow!("the load was called off"))?;
        let book = Mutex::new((Tally::new()?, lanes.len() as u64));
        let began = &self.began;
        let working = lanes.iter_mut().map(|lane| lane.run(window, began, &book));
        let cap = window.end + ANSWER_CAP;
        // What has no answer by then is in the book.
        let _ = timeout_at(cap.into(), join_all(working)).await;
        let (mut tally, unanswered) = book.into_inner().unwrap_or_else(PoisonError::into_inner);
        if unanswered > 0 {
            tally.failed(format!("no answer within {ANSWER_CAP:?}"), unanswered);
        }
        Ok(tally)
    }
}

/// What came of the operations, and how many lanes still work.
type Book = Mutex<(Tally, u64)>;

/// One call in flight, on its connection.
struct Lane {
    peer: Peer,
    slot: Slot,
}

impl Lane {
    async fn run(&mut self, window: Window, began: &watch::Receiver<Option<Window>>, book: &Book) {
        let mut begun = Instant::now();
        while begun < window.end && began.has_changed().is_ok() {
            let outcome = self.slot.operate(&self.peer).await;
            let ended = Instant::now();
            let counts = (window.start..=window.end).contains(&ended);
            match outcome {
                Ok(()) if counts => note(book, |tally, _| tally.succeeded(ended - begun)),
                Ok(()) => {}
                Err(error) => {
                    let text = described(self.slot.name(), &error);
                    note(book, |tally, _| tally.failed(text, 1));
                    sleep(AFTER_FAILURE).await;
                }
            }
            begun = Instant::now();
        }
        note(book, |_, working| *working -= 1);
    }
}

fn note(book: &Book, act: impl FnOnce(&mut Tally, &mut u64)) {
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let (tally, working) = &mut *book;
    act(tally, working);
}

/// The calls in flight on one connection.
fn slots(plan: &Plan, connection: usize, keys: &[String]) -> Vec<Slot> {
    let count = plan.in_flight as usize;
    let numbers = (0..count).map(|number| connection * count + number);
    numbers
        .map(|number| Slot::new(plan, plan.keys_of(number, keys)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use dapr_pluggable::state::{Entry, GetRequest};
    use dapr_pluggable::{Component, async_trait};

    use super::*;

    /// A store that takes calls and never answers.
    #[derive(Default)]
    struct Silent {
        calls: AtomicUsize,
    }

    impl Silent {
        async fn call<T>(&self) -> Result<T, Error> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            pending().await
        }
    }

    impl Component for Silent {}

    #[async_trait]
    impl StateStore for Silent {
        async fn get(&self, _: GetRequest) -> Result<Option<Entry>, Error> {
            self.call().await
        }

        async fn set(&self, _: SetRequest) -> Result<(), Error> {
            self.call().await
        }

        async fn delete(&self, _: DeleteRequest) -> Result<(), Error> {
            self.call().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_no_answer_is_not_asked_for_every_key() {
        let store = Silent::default();
        let keys: Vec<String> = (0..10 * AT_ONCE).map(|key| key.to_string()).collect();
        let begun = tokio::time::Instant::now();
        let written = write(&store, &keys, &Bytes::new()).await;
        assert_eq!(written.unwrap_err().kind(), &ErrorKind::TimedOut);
        let removed = remove(&store, &keys).await;
        assert_eq!(removed.unwrap_err().kind(), &ErrorKind::TimedOut);
        assert!(begun.elapsed() < ANSWER_CAP * 3, "{:?}", begun.elapsed());
        assert!(store.calls.load(Ordering::Relaxed) <= 3 * AT_ONCE);
    }
}
