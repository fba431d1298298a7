//! One connection: hyper's HTTP/2 state machine and the calls it carries, polled in turns of one
//! task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper::server::conn::http2;
use tokio::net::UnixStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Limits;
use super::dispatch::{Router, Session};
use super::wire::{self, Outbox, Wire};

/// How many calls one round polls before the connection is looked at again.
const CALLS_PER_ROUND: usize = 128;
/// How many rounds a turn has: past that, what was answered is sent first.
const ROUNDS_PER_TURN: usize = 8;
/// How long a turn starts new work: an answer does not wait longer behind slow handlers.
const TURN: Duration = Duration::from_micros(500);
/// How many streams a peer may open and cancel while the worker is busy. h2's own bound of 20
/// would end the connection of a runtime whose time-outs fire while a handler blocks.
const PENDING_RESETS: usize = 1024;
/// How many frames a peer may send for streams that are not known any more, over the whole life of
/// the connection: then it ends, with all its calls. What is still on its way of a request that was
/// refused before its end comes as such frames; h2's own 1024 are some dozens of large requests.
const STRAY_FRAMES: usize = 1 << 20;

/// One call with everything hyper wrapped around it.
type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a connection ends from our side.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// Takes no new calls and ends when those in flight have.
    pub(super) go_away: CancellationToken,
    /// Ends at once, with its calls; looked at only after `go_away`.
    pub(super) abort: CancellationToken,
}

/// A connection as a future that is done when the connection is; the value is how many calls were
/// dropped by [`Ending::abort`].
pub(super) struct Driver {
    connection: Pin<Box<http2::Connection<Wire, Router, Arrivals>>>,
    arrivals: Arrivals,
    /// Calls that were not polled yet.
    fresh: VecDeque<Call>,
    /// Calls that wait for something.
    waiting: FuturesUnordered<Call>,
    outbox: Outbox,
    go_away: Pin<Box<WaitForCancellationFutureOwned>>,
    abort: Pin<Box<WaitForCancellationFutureOwned>>,
    leaving: bool,
    /// Last, so that the observer hears of the end when all handlers are gone.
    session: Arc<Session>,
}

impl Driver {
    pub(super) fn new(
        stream: UnixStream,
        session: Session,
        limits: &Limits,
        ending: Ending,
    ) -> Self {
        let (wire, outbox) = wire::split(stream);
        let arrivals = Arrivals::default();
        let session = Arc::new(session);
        let connection = http2::Builder::new(arrivals.clone())
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window)
            .max_concurrent_streams(limits.concurrent_streams)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(STRAY_FRAMES)
            .auto_date_header(false)
            .serve_connection(wire, Router(Arc::clone(&session)));
        Self {
            connection: Box::pin(connection),
            arrivals,
            fresh: VecDeque::new(),
            waiting: FuturesUnordered::new(),
            outbox,
            go_away: Box::pin(ending.go_away.cancelled_owned()),
            abort: Box::pin(ending.abort.cancelled_owned()),
            leaving: false,
            session,
        }
    }

    /// Polls new calls once and woken ones again; says whether there may be more to do at once.
    fn poll_calls(&mut self, cx: &mut Context<'_>, until: Instant) -> bool {
        self.arrivals.move_to(&mut self.fresh);
        let mut finished = false;
        for _ in 0..CALLS_PER_ROUND {
            let Some(mut call) = self.fresh.pop_front() else {
                break;
            };
            // Most handlers finish at once, and then never pay for a place among the waiting.
            match call.as_mut().poll(cx) {
                Poll::Ready(()) => finished = true,
                Poll::Pending => self.waiting.push(call),
            }
            if Instant::now() >= until {
                return true;
            }
        }
        for _ in 0..CALLS_PER_ROUND {
            match self.waiting.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => finished = true,
                Poll::Ready(None) | Poll::Pending => return finished || !self.fresh.is_empty(),
            }
            if Instant::now() >= until {
                return true;
            }
        }
        true
    }
}

impl Future for Driver {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.get_mut();
        if !this.leaving && this.go_away.as_mut().poll(cx).is_ready() {
            this.leaving = true;
            this.connection.as_mut().graceful_shutdown();
        }
        if this.leaving && this.abort.as_mut().poll(cx).is_ready() {
            return Poll::Ready(this.fresh.len() + this.waiting.len());
        }
        let until = Instant::now() + TURN;
        for round in 0.. {
            if let Poll::Ready(ended) = this.connection.as_mut().poll(cx) {
                if let Err(error) = ended {
                    let peer = this.session.peer();
                    tracing::debug!(?peer, %error, "a connection failed");
                }
                return Poll::Ready(0);
            }
            if round == ROUNDS_PER_TURN || (round > 0 && Instant::now() >= until) {
                cx.waker().wake_by_ref();
                break;
            }
            if !this.poll_calls(cx, until) {
                break;
            }
        }
        match this.outbox.poll_send(cx) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(peer = ?this.session.peer(), %error, "a connection was lost");
                Poll::Ready(0)
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

/// hyper's executor for one connection: calls are handed to the driver, which runs them itself.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<VecDeque<Call>>>);

impl Arrivals {
    fn move_to(&self, calls: &mut VecDeque<Call>) {
        calls.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<F> hyper::rt::Executor<F> for Arrivals
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(Box::pin(call));
    }
}
