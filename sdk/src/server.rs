//! The server side: components behind a Unix socket.

mod access;
mod adapter;
mod binding;
mod callers;
mod components;
pub(crate) mod core;
mod health;
#[cfg(feature = "program")]
mod http;
mod instances;
mod lost_init;
mod pauses;
mod peers;
mod pubsub;
mod reflection;
mod secret;
mod serving;
mod socket;
mod state;
mod streams;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use self::lost_init::OnLostInit;
pub use self::serving::{Serving, Stop};
use crate::blocks::Blocks;
use crate::error::Result;

/// A component to be served on a Unix socket, where Dapr runtimes find it.
///
/// ```no_run
/// # fn blocks() -> dapr_pluggable::Blocks { dapr_pluggable::Blocks::new() }
/// use std::process::ExitCode;
///
/// use dapr_pluggable::Server;
///
/// fn main() -> ExitCode {
///     Server::new("redis").blocks(blocks()).run()
/// }
/// ```
///
/// The name decides on the socket file, `redis.sock`, and on what runtimes call the component: `state.redis`,
/// `pubsub.redis` and so on. A name that Dapr has a component of, such as `redis`, replaces that one for every runtime
/// that uses the folder; `redis-fast` does not.
///
/// # Who may connect
/// The socket has mode 0660, in a container 0666; [`socket_mode`](Self::socket_mode),
/// [`socket_group`](Self::socket_group) and [`allow_uid`](Self::allow_uid) say otherwise. Dapr's runtime, when it may not
/// connect, hangs at its start without a word.
///
/// Clients other than Go's may send the path of the socket as `:authority`, which HTTP/2 does not allow and this server
/// refuses: have them send `localhost`.
///
/// # How it stops
/// When it is told to, the server lingers first: it takes nothing new from backends and goes on serving calls,
/// answers and new connections until the last connection closes that has carried a call of a building block, since a
/// runtime that stops at the same moment still has things to say; at most [`shutdown_linger`](Self::shutdown_linger).
/// Then it removes the socket, sends its peers away, ends deliveries, lets calls in flight finish for
/// [`drain_cap`](Self::drain_cap), and closes the components.
#[derive(Clone, Debug)]
pub struct Server {
    name: String,
    blocks: Blocks,
    options: Options,
}

#[derive(Clone, Debug)]
struct Options {
    version: Option<String>,
    sockets_folder: Option<PathBuf>,
    socket_mode: Option<u32>,
    socket_group: Option<String>,
    allowed_uids: Vec<u32>,
    workers: Option<NonZeroUsize>,
    max_message_size: usize,
    shutdown_linger: Duration,
    drain_cap: Duration,
    on_lost_init: OnLostInit,
    #[cfg_attr(
        not(feature = "program"),
        expect(dead_code, reason = "there is no setter")
    )]
    http_listen: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: None,
            sockets_folder: None,
            socket_mode: None,
            socket_group: None,
            allowed_uids: Vec::new(),
            workers: None,
            max_message_size: 16 << 20,
            shutdown_linger: Duration::from_secs(20),
            drain_cap: Duration::from_secs(5),
            on_lost_init: OnLostInit::default(),
            http_listen: None,
        }
    }
}

impl Server {
    /// A component of that name, which has nothing yet. [`SocketName`](crate::socket::SocketName) says what a name may
    /// be; it is checked at the start.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            blocks: Blocks::new(),
            options: Options::default(),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The building blocks that it has.
    #[must_use]
    pub fn blocks(mut self, blocks: Blocks) -> Self {
        self.blocks = blocks;
        self
    }

    /// The version that `--version` shows: `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    #[cfg(feature = "program")]
    pub(crate) fn renamed(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    #[cfg(feature = "program")]
    pub(crate) fn own_version(&self) -> Option<&str> {
        self.options.version.as_deref()
    }

    /// The folder for the socket. Without it, the environment decides, see
    /// [`SocketsFolder`](crate::socket::SocketsFolder).
    #[must_use]
    pub fn sockets_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.sockets_folder = Some(folder.into());
        self
    }

    /// The permissions of the socket, such as `0o660`. Who may write may connect.
    #[must_use]
    pub fn socket_mode(mut self, mode: u32) -> Self {
        self.options.socket_mode = Some(mode);
        self
    }

    /// The group of the socket, by name or number. Without it, that of the process.
    #[must_use]
    pub fn socket_group(mut self, group: impl Into<String>) -> Self {
        self.options.socket_group = Some(group.into());
        self
    }

    /// Refuses connections of all users but this one, the others allowed so, and our own. Without any, the mode of the
    /// socket alone decides.
    #[must_use]
    pub fn allow_uid(mut self, uid: u32) -> Self {
        self.options.allowed_uids.push(uid);
        self
    }

    /// How many threads serve connections. Without it, as many as there are cores, or as the CPU quota of the cgroup
    /// allows, at most four. Servers that run together share them: the largest number counts.
    #[must_use]
    pub fn workers(mut self, workers: NonZeroUsize) -> Self {
        self.options.workers = Some(workers);
        self
    }

    /// How large a request may be, in bytes; 16 MiB without. A larger one is refused as `RESOURCE_EXHAUSTED`. Dapr's
    /// runtime takes answers of at most 4 MiB.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.options.max_message_size = bytes;
        self
    }

    /// How long a stop waits at most for runtimes to leave; 20 s without, below the 30 s of Kubernetes.
    #[must_use]
    pub fn shutdown_linger(mut self, linger: Duration) -> Self {
        self.options.shutdown_linger = linger;
        self
    }

    /// How long calls in flight may take once the server has told its peers to leave; 5 s without.
    #[must_use]
    pub fn drain_cap(mut self, cap: Duration) -> Self {
        self.options.drain_cap = cap;
        self
    }

    /// What to do when a runtime calls an instance that got no Init from it since this process started.
    #[must_use]
    pub fn on_lost_init(mut self, policy: OnLostInit) -> Self {
        self.options.on_lost_init = policy;
        self
    }

    /// Answers `/livez`, `/readyz` and `/metrics` at this address over HTTP. Servers that run together and have the
    /// same address share it, and are ready together.
    #[cfg(feature = "program")]
    #[must_use]
    pub fn http_listen(mut self, address: SocketAddr) -> Self {
        self.options.http_listen = Some(address);
        self
    }

    /// Serves until `shutdown` resolves, then stops as [`Stop::Linger`] does. It needs a tokio runtime with I/O and
    /// time; connections are served by threads of its own.
    ///
    /// # Errors
    /// As [`Serving::start`].
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let serving = Serving::start([self]).await?;
        shutdown.await;
        serving.stop(Stop::Linger).await;
        Ok(())
    }
}
