//! What one connection has been answered and has not taken yet.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{Notify, Semaphore};

/// While so many bytes wait, no component is called.
const LIMIT: usize = 32 << 20;
/// Answers of so many bytes are not counted: those of all calls that a connection may have are 16 MB.
const SMALL: usize = 16 << 10;

/// How large an answer is; in the extensions of the response of a call that has one.
#[derive(Clone, Copy, Debug)]
struct Size(usize);

/// Says how many bytes an answer will be. The messages of a stream are not counted: at most two of each are made ahead,
/// and a stream that nobody reads must not hold calls up.
pub(crate) fn sized<T>(mut response: tonic::Response<T>, bytes: usize) -> tonic::Response<T> {
    if bytes > SMALL {
        response.extensions_mut().insert(Size(bytes));
    }
    response
}

/// The answers of one connection that are made and not sent, and the calls that wait for that.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    /// Some of it was sent. At most one waits for it: who has the turn.
    sent: Notify,
    /// Calls that wait do so in their order.
    turn: Semaphore,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            sent: Notify::new(),
            turn: Semaphore::new(1),
        }
    }
}

impl Backlog {
    /// Counts the answer of a response that said its size.
    pub(super) fn add<B>(self: &Arc<Self>, response: &mut http::Response<B>) -> Option<Unsent> {
        let Size(bytes) = response.extensions_mut().remove()?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Unsent {
            backlog: Arc::clone(self),
            bytes,
        })
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= LIMIT
    }

    /// Waits, in the order of those who do, until there is room.
    async fn room(self: Arc<Self>) {
        // Nobody closes it.
        let _turn = self.turn.acquire().await;
        while self.is_full() {
            self.sent.notified().await;
        }
    }

    /// Whether there is room, and nobody waits for it.
    fn has_room(&self) -> bool {
        !self.is_full() && self.turn.available_permits() > 0
    }
}

/// The body of a request, which does not end while there is no room for an answer. So the component is not called yet,
/// and holds nothing that others need.
pub(crate) struct Inbound {
    body: Incoming,
    backlog: Arc<Backlog>,
    waiting: Option<BoxFuture<'static, ()>>,
    is_over: bool,
}

impl Inbound {
    pub(super) fn new(body: Incoming, backlog: Arc<Backlog>) -> Self {
        Self {
            body,
            backlog,
            waiting: None,
            is_over: false,
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() && self.backlog.has_room() {
            return Poll::Ready(());
        }
        let room = || Arc::clone(&self.backlog).room().boxed();
        ready!(self.waiting.get_or_insert_with(room).poll_unpin(cx));
        self.waiting = None;
        Poll::Ready(())
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if !this.is_over {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            if frame.is_some() {
                return Poll::Ready(frame);
            }
            this.is_over = true;
        }
        this.poll_room(cx).map(|()| None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Unsent {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Unsent {
    /// The bytes of the answer, which count until nobody has them: they are sent, the call is cancelled, or the connection is
    /// gone.
    pub(super) fn with(self, data: Bytes) -> Bytes {
        Bytes::from_owner(Counted {
            data,
            _unsent: self,
        })
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.backlog.sent.notify_one();
    }
}

struct Counted {
    data: Bytes,
    _unsent: Unsent,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}
