//! Delivery with answers: a window of messages in flight and the ledger of those not yet answered.
//!
//! Publish/subscribe and input bindings share it. A component holds the [`Window`] ([`Deliveries`], [`Events`]) and
//! delivers into it; the other side, a stream to a runtime or a host in the same process, holds the [`Consumer`], takes
//! messages out and settles them by id. Back-pressure is the window: [`Window::deliver`] waits while it is full.

mod options;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::options::Options;
use crate::binding::Event;
use crate::error::{Error, ErrorKind};
use crate::pubsub::Message;

/// Where a broker delivers the messages of one subscription.
pub type Deliveries = Window<Message, Ack>;
/// Where a source delivers its events.
pub type Events = Window<Event, Reply>;
/// The answer to a message, to be awaited.
pub type PendingAck = Pending<Ack>;
/// The answer to an event, to be awaited.
pub type PendingReply = Pending<Reply>;

/// How many messages may be unanswered on one stream, unless metadata `deliveryWindow` says otherwise.
pub const DEFAULT_WINDOW: usize = 64;

/// How the application answered a message.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Handled: it need not come again.
    Accepted,
    /// Not handled, and why: deliver it again, or do with it what the broker does with rejected messages.
    Rejected(String),
    /// No answer came: the stream ended or the runtime is stopping. Neither ack nor nack; leave it to be delivered again.
    Abandoned,
}

/// How the application answered an event.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Handled, with the data that it sent back.
    Handled(Bytes),
    /// Not handled, and why.
    Failed(String),
    /// No answer came: the stream ended or the runtime is stopping. Leave the event to be delivered again.
    Abandoned,
}

/// What an answer can be: anything with a value for "none came".
pub trait Answer: Send + 'static {
    /// The value for "none came".
    fn abandoned() -> Self;
}

impl Answer for Ack {
    fn abandoned() -> Self {
        Self::Abandoned
    }
}

impl Answer for Reply {
    fn abandoned() -> Self {
        Self::Abandoned
    }
}

/// The subscription is over; nothing can be delivered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the subscription has ended")
    }
}

impl std::error::Error for Closed {}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        Self::new(ErrorKind::Cancelled, closed.to_string())
    }
}

/// Opens a window of `size` messages (at least one): the side that delivers and the side that consumes.
#[must_use]
pub fn window<M, A: Answer>(size: usize, gate: &Gate) -> (Window<M, A>, Consumer<M, A>) {
    let size = size.clamp(1, Semaphore::MAX_PERMITS);
    // The queue holds as many as the window, so sending into it never waits.
    let (queue, messages) = mpsc::channel(size);
    let shared = Arc::new(Shared {
        slots: Arc::new(Semaphore::new(size)),
        ledger: Mutex::new(Ledger {
            next_id: 1,
            last_answer: Instant::now(),
            open: HashMap::new(),
            in_flight: Gauge::noop(),
        }),
        held: CancellationToken::new(),
        closed: CancellationToken::new(),
    });
    let sender = Window {
        shared: Arc::clone(&shared),
        queue,
        gate: gate.0.subscribe(),
    };
    (
        sender,
        Consumer {
            shared,
            messages,
            gate: gate.0.subscribe(),
        },
    )
}

/// The side that delivers. Clones deliver into the same window.
#[derive(Debug)]
pub struct Window<M, A> {
    shared: Arc<Shared<A>>,
    queue: mpsc::Sender<Delivered<M>>,
    gate: watch::Receiver<bool>,
}

impl<M, A> Clone for Window<M, A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            queue: self.queue.clone(),
            gate: self.gate.clone(),
        }
    }
}

impl<M: Send, A: Answer> Window<M, A> {
    /// Delivers a message as soon as the window has room and the runtime has not paused, and gives what its answer can
    /// be awaited with. Dropping that is legal; the message keeps its place in the window until it is answered.
    ///
    /// # Errors
    /// [`Closed`] when the subscription is over. The message was then not delivered.
    pub async fn deliver(&self, message: M) -> Result<Pending<A>, Closed> {
        let slot = self.slot().await?;
        let (answer, receiver) = oneshot::channel();
        let id = {
            let mut ledger = self.shared.ledger();
            // Checked under the lock: closing empties the ledger under it, so no entry is left behind.
            if self.shared.closed.is_cancelled() {
                return Err(Closed);
            }
            let id = ledger.next_id;
            ledger.next_id += 1;
            ledger.open.insert(
                id,
                Entry {
                    answer,
                    since: Instant::now(),
                    is_sent: false,
                    _slot: slot,
                },
            );
            ledger.in_flight.increment(1);
            id
        };
        if self.queue.try_send(Delivered { id, message }).is_err() {
            self.shared.ledger().take(id);
            return Err(Closed);
        }
        Ok(Pending {
            id,
            receiver,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Waits until a message could be delivered, and says how many could: for a broker that claims what it delivers. Who
    /// alone delivers into the window can then deliver so many without a wait, unless the runtime pauses meanwhile.
    ///
    /// # Errors
    /// [`Closed`] when the subscription is over.
    pub async fn room(&self) -> Result<usize, Closed> {
        let _slot = self.slot().await?;
        Ok(self.shared.slots.available_permits() + 1)
    }

    /// Runs a future while the subscription lives: for waiting at the broker.
    ///
    /// # Errors
    /// [`Closed`] when the subscription ends first. The future is dropped then.
    pub async fn until_closed<F: Future>(&self, future: F) -> Result<F::Output, Closed> {
        tokio::select! {
            biased;
            () = self.closed() => Err(Closed),
            output = future => Ok(output),
        }
    }

    /// Lets nothing more in: [`deliver`](Self::deliver) waits for the end of the subscription. What is in goes on its
    /// way, and is answered.
    pub(crate) fn hold_back(&self) {
        self.shared.held.cancel();
    }

    /// Returns when the subscription is over.
    pub async fn closed(&self) {
        self.shared.closed.cancelled().await;
    }

    /// Whether the subscription is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    /// How many messages are delivered and not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.ledger().open.len()
    }

    /// Ends the subscription: nothing more is delivered, what is unanswered is abandoned.
    pub(crate) fn close(&self) {
        self.shared.close();
    }

    /// A place in the window, as soon as there is one and the runtime has not paused.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, Closed> {
        let mut gate = self.gate.clone();
        let room = async {
            loop {
                // An error means that the gate's owner is gone: nobody can pause any more.
                let ungated = gate.wait_for(|open| *open).await.is_err();
                let slot = Arc::clone(&self.shared.slots).acquire_owned().await.ok()?;
                // The wait for the slot may have been long.
                if ungated || *gate.borrow() {
                    return Some(slot);
                }
            }
        };
        tokio::select! {
            biased;
            () = self.shared.held.cancelled() => {
                self.closed().await;
                Err(Closed)
            }
            slot = room => slot.ok_or(Closed),
        }
    }

    /// Counts what is in flight here in a gauge that several windows may share.
    pub(crate) fn count_in(&self, gauge: &Gauge) {
        let mut ledger = self.shared.ledger();
        let open = ledger.open.len() as f64;
        ledger.in_flight.decrement(open);
        gauge.increment(open);
        ledger.in_flight = gauge.clone();
    }
}

/// A message taken out of a window.
#[non_exhaustive]
#[derive(Debug)]
pub struct Delivered<M> {
    /// The id to settle it by; unique within the stream.
    pub id: u64,
    /// The message.
    pub message: M,
}

/// The side that consumes. Dropping it closes the window: what is unanswered is [`abandoned`](Answer::abandoned).
#[derive(Debug)]
pub struct Consumer<M, A: Answer> {
    shared: Arc<Shared<A>>,
    messages: mpsc::Receiver<Delivered<M>>,
    gate: watch::Receiver<bool>,
}

impl<M, A: Answer> Consumer<M, A> {
    /// The next message, as soon as there is one and the gate is open; `None` when every [`Window`] is gone or
    /// [`close`](Self::close) was called.
    pub async fn next(&mut self) -> Option<Delivered<M>> {
        let next = async {
            // As in `deliver`: without an owner the gate stays as it is, open.
            let _ = self.gate.wait_for(|open| *open).await;
            self.messages.recv().await
        };
        let delivered = tokio::select! {
            biased;
            () = self.shared.closed.cancelled() => None,
            delivered = next => delivered,
        }?;
        if let Some(entry) = self.shared.ledger().open.get_mut(&delivered.id) {
            entry.since = Instant::now();
            entry.is_sent = true;
        }
        Some(delivered)
    }

    /// What settles messages; it can be held apart from the consumer.
    #[must_use]
    pub fn settler(&self) -> Settler<A> {
        Settler {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Ends the subscription: nothing more is delivered, what is unanswered is abandoned.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl<M, A: Answer> Drop for Consumer<M, A> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Settles the messages of one window.
#[derive(Debug)]
pub struct Settler<A> {
    shared: Arc<Shared<A>>,
}

impl<A> Clone for Settler<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<A: Answer> Settler<A> {
    /// Answers a message, once.
    ///
    /// # Errors
    /// [`Unsettled`] for an id that is not open; nothing has changed then.
    pub fn settle(&self, id: u64, answer: A) -> Result<(), Unsettled> {
        let entry = {
            let mut ledger = self.shared.ledger();
            // Who answers what is still in the queue has made the id up.
            if ledger.open.get(&id).is_some_and(|entry| !entry.is_sent) {
                return Err(Unsettled::Unknown);
            }
            let Some(entry) = ledger.take(id) else {
                return Err(if id != 0 && id < ledger.next_id {
                    Unsettled::Repeated
                } else {
                    Unsettled::Unknown
                });
            };
            ledger.last_answer = Instant::now();
            entry
        };
        // The component may have stopped waiting; the slot is free either way.
        let _ = entry.answer.send(answer);
        Ok(())
    }

    /// How many messages are delivered and not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.ledger().open.len()
    }

    /// Ends the subscription: nothing more is delivered, what is unanswered is abandoned.
    pub fn close(&self) {
        self.shared.close();
    }
}

/// Why an answer could not be placed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// No message of that id was ever sent on this stream.
    Unknown,
    /// The message was answered before.
    Repeated,
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no message of that id was delivered on this stream",
            Self::Repeated => "the message was answered before",
        })
    }
}

/// An answer to come. Await it, or wait [`within`](Self::within) a time.
#[derive(Debug)]
pub struct Pending<A> {
    id: u64,
    receiver: oneshot::Receiver<A>,
    shared: Arc<Shared<A>>,
}

impl<A: Answer> Pending<A> {
    /// The answer, or [`abandoned`](Answer::abandoned) when the consumer stood still for `patience`: a runtime handles
    /// one message a stream at a time, so the time counts from the later of this message's sending and the last answer
    /// on its stream. A message given up keeps its place in the window until it is answered after all.
    pub async fn within(mut self, patience: Duration) -> A {
        loop {
            let idle_since = self.shared.ledger().idle_since(self.id);
            // No deadline for what is settled, and for a patience that the clock does not reach.
            let Some(deadline) = idle_since.and_then(|since| since.checked_add(patience)) else {
                return self.await;
            };
            if deadline <= Instant::now() {
                return A::abandoned();
            }
            if let Ok(answer) = tokio::time::timeout_at(deadline, &mut self).await {
                return answer;
            }
        }
    }
}

impl<A: Answer> Future for Pending<A> {
    type Output = A;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A> {
        let answer = ready!(Pin::new(&mut self.receiver).poll(context));
        Poll::Ready(answer.unwrap_or_else(|_| A::abandoned()))
    }
}

/// Lets messages through or holds them back: what Pause and Resume turn. Starts open.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(true))
    }

    /// Holds messages back.
    pub fn pause(&self) {
        self.0.send_replace(false);
    }

    /// Lets messages through.
    pub fn resume(&self) {
        self.0.send_replace(true);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

struct Shared<A> {
    slots: Arc<Semaphore>,
    ledger: Mutex<Ledger<A>>,
    /// Nothing more is let in, though the subscription may not be over.
    held: CancellationToken,
    closed: CancellationToken,
}

struct Ledger<A> {
    next_id: u64,
    last_answer: Instant,
    open: HashMap<u64, Entry<A>>,
    in_flight: Gauge,
}

struct Entry<A> {
    answer: oneshot::Sender<A>,
    /// When it was sent, or until then, let in.
    since: Instant,
    is_sent: bool,
    _slot: OwnedSemaphorePermit,
}

impl<A> Shared<A> {
    fn ledger(&self) -> MutexGuard<'_, Ledger<A>> {
        // Every change is one step, so a panic elsewhere leaves the ledger whole.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut ledger = self.ledger();
        self.closed.cancel();
        self.held.cancel();
        // Dropping the senders resolves every pending answer as abandoned.
        let open = std::mem::take(&mut ledger.open);
        ledger.in_flight.decrement(open.len() as f64);
        drop(ledger);
        drop(open);
    }
}

impl<A> Ledger<A> {
    fn take(&mut self, id: u64) -> Option<Entry<A>> {
        let entry = self.open.remove(&id)?;
        self.in_flight.decrement(1);
        Some(entry)
    }

    /// Since when the stream has stood still for a message; `None` when the message is settled.
    fn idle_since(&self, id: u64) -> Option<Instant> {
        Some(self.open.get(&id)?.since.max(self.last_answer))
    }
}

impl<A> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("in_flight", &self.ledger().open.len())
            .field("closed", &self.closed.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
