//! The gRPC server under everything in [`server`](super): tonic's generated services on Unix
//! sockets, with as little work between the socket and the handler as HTTP/2 allows.
//!
//! A [`Workers`] owns a few threads, each with a `current_thread` runtime. An accepted connection
//! is placed on the least loaded worker and stays there, with every call it carries: hyper speaks
//! HTTP/2, the calls are futures of the connection's own task (no task per call), and what a turn
//! of that task writes leaves in one system call.
//!
//! | file | its one thing |
//! |---|---|
//! | `wire` | the socket as hyper sees it: reads go through, writes collect |
//! | `driver` | one connection: its turns, its calls, its end |
//! | `dispatch` | which service a call is for, and whether it is offloaded |
//! | `guard` | panics, deadlines and slow polls of one call |
//! | `backlog` | answers that the peer has not taken, and the calls that wait for that |
//! | `serve` | workers, the accept loop, placement, the phases of a stop |
//!
//! A stop has phases, and the caller drives them, because what `Init` opened lives on the reactor
//! of the worker that ran it: [`Listening::stop_accepting`], then [`Listening::drain`], then the
//! caller closes its values, then [`Workers::stop`].
//!
//! A handler that blocks stalls the calls of its connection (other connections live on other
//! workers): blocking work belongs in `tokio::task::spawn_blocking`, or the service is registered
//! with [`Offload::Yes`]. `tokio::task::block_in_place` panics on a worker.

mod backlog;
mod dispatch;
mod driver;
mod guard;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use backlog::sized;
pub(crate) use dispatch::{Dispatch, Offload, Service};
pub(crate) use serve::{Drained, Listening, Workers, default_workers};

/// Who is at the other end of a connection; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// What tells this peer from others.
    pub(crate) id: PeerId,
    /// The connection's number, never used twice in this process.
    pub(crate) connection: u64,
    /// The user the peer ran as when it connected.
    pub(crate) uid: u32,
    /// The group the peer ran as when it connected.
    pub(crate) gid: u32,
}

/// What identifies a [`Peer`]: its process where the kernel names it, else its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PeerId {
    /// The process id of `SO_PEERCRED`, in our pid namespace.
    Process(i32),
    /// The peer lives in a pid namespace that ours cannot see: each of its connections counts as
    /// a peer of its own.
    Connection(u64),
}

/// Told of what happens to the connections of one [`Listening`], on the worker that owns the
/// connection (so a runtime is always at hand). The methods must not block.
pub(crate) trait Observer: Send + Sync + 'static {
    /// A connection was accepted and is now served.
    fn opened(&self, peer: &Peer) {
        let _ = peer;
    }

    /// The first call of a registered service on this connection arrived; told once per service
    /// and connection, before the handler runs.
    fn first_call(&self, peer: &Peer, service: &'static str) {
        let _ = (peer, service);
    }

    /// The connection has ended, and every handler that ran for it is gone.
    fn closed(&self, peer: &Peer) {
        let _ = peer;
    }
}

/// Observes nothing.
impl Observer for () {}

/// The limits of the connections of one [`Listening`].
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How many bytes of one stream a peer may send ahead of the handler.
    pub(crate) stream_window: u32,
    /// How many bytes of one connection a peer may send ahead of its handlers. h2 also charges
    /// small frames that wait unread (acknowledgements on a pull stream) against half of it, so a
    /// small window ends such a connection.
    pub(crate) connection_window: u32,
    /// How many calls and streams a peer may have open on one connection; peers queue the rest.
    pub(crate) concurrent_streams: u32,
    /// The users that may connect; `None` leaves it to the mode of the socket file.
    pub(crate) allowed_uids: Option<Vec<u32>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            concurrent_streams: 1024,
            allowed_uids: None,
        }
    }
}
