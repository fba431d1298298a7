//! The socket as hyper sees it. Reads go straight through; writes collect in an [`Outbox`] that
//! the connection's task sends once, at the end of its turn.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How many bytes may wait in an outbox before a write waits for the socket.
const HIGH_WATER: usize = 64 * 1024;

/// Splits a socket into what hyper owns and the outbox that stays with the connection's task.
pub(super) fn split(stream: UnixStream) -> (Wire, Outbox) {
    let (read, write) = stream.into_split();
    let outbox = Outbox(Arc::new(Mutex::new(Unsent {
        socket: write,
        bytes: BytesMut::new(),
    })));
    let wire = Wire {
        read: TokioIo::new(read),
        outbox: Outbox(Arc::clone(&outbox.0)),
    };
    (wire, outbox)
}

/// hyper's end of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    read: TokioIo<OwnedReadHalf>,
    outbox: Outbox,
}

/// What hyper has written and the socket has not taken yet.
#[derive(Debug)]
pub(super) struct Outbox(Arc<Mutex<Unsent>>);

#[derive(Debug)]
struct Unsent {
    socket: OwnedWriteHalf,
    bytes: BytesMut,
}

impl Outbox {
    /// Sends what has collected; pending while the socket takes no more.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|unsent| unsent.poll_send(cx))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Unsent) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Unsent {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.bytes))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.bytes.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outbox.with(|unsent| {
            if unsent.bytes.len() >= HIGH_WATER {
                ready!(unsent.poll_send(cx))?;
            }
            let room = HIGH_WATER.saturating_sub(unsent.bytes.len());
            let (taken, _) = buf.split_at(room.min(buf.len()));
            unsent.bytes.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        })
    }

    /// Nothing: the connection's task sends at the end of its turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.with(|unsent| {
            ready!(unsent.poll_send(cx))?;
            Pin::new(&mut unsent.socket).poll_shutdown(cx)
        })
    }
}
