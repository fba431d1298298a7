//! What to do about a runtime that never repeats its Init.
//!
//! A component that was restarted sees calls for instances that it never opened: the runtime reconnects and goes on,
//! without Init, without subscriptions. The calls fail with a hint; beyond that, [`OnLostInit`] decides.

mod daprd;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) use self::daprd::Sidecar;
use self::daprd::{hang_up, is_another};
use super::core::{Peer, PeerId};
use super::peers::Peers;
use crate::component::Block;
use crate::error::{Error, ErrorKind};

/// A connection on which no call comes for so long belongs to a runtime that had its Init before we started.
const SILENCE: Duration = Duration::from_secs(1);

/// What to do when a runtime uses this process without an Init: because the process was restarted, and a runtime
/// never repeats an Init.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnLostInit {
    /// Log a hint, once.
    #[default]
    None,
    /// Send `SIGHUP` to the runtime, which then finds its components anew, inits them and opens its streams again. Only
    /// to a process named `daprd` in our own pid namespace, and to each once; to others as [`None`](Self::None).
    Hup,
    /// Ask the runtime to stop, by `POST /v1.0/shutdown` to its HTTP port (`DAPR_HTTP_PORT`, else 3500), so that
    /// whoever watches over it starts it again. Where the peer is known to be another process than `daprd`, as
    /// [`None`](Self::None).
    Shutdown,
}

impl OnLostInit {
    /// The choices by name.
    pub const ALL: [Self; 3] = [Self::None, Self::Hup, Self::Shutdown];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hup => "hup",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for OnLostInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OnLostInit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let choice = Self::ALL.into_iter().find(|choice| choice.as_str() == text);
        choice.ok_or_else(|| {
            Error::invalid_request(format!(
                "unknown choice {text:?}: expected none, hup or shutdown"
            ))
        })
    }
}

/// Notices runtimes that use this process without an Init.
pub(super) struct LostInit {
    policy: OnLostInit,
    sidecar: Sidecar,
    started: SystemTime,
    peers: Arc<Peers>,
    hinted: AtomicBool,
    /// Whom something was already done about.
    settled: Mutex<HashSet<PeerId>>,
    shutdown: AtomicBool,
    /// Connections on which no call came yet.
    silent: Mutex<HashMap<u64, CancellationToken>>,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl LostInit {
    pub(super) fn new(policy: OnLostInit, sidecar: Sidecar, peers: Arc<Peers>) -> Arc<Self> {
        Arc::new(Self {
            policy,
            sidecar,
            started: SystemTime::now(),
            peers,
            hinted: AtomicBool::new(false),
            settled: Mutex::default(),
            shutdown: AtomicBool::new(false),
            silent: Mutex::default(),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
        })
    }

    /// A call came for an instance that nobody opened. Gives the error for it.
    pub(super) fn call_without_init(
        self: &Arc<Self>,
        block: Block,
        instance: &str,
        peer: &Peer,
    ) -> Error {
        let hint = format!(
            "no Init received for '{instance}' since this process started at {}; daprd does not repeat Init after a \
             component restart: restart the sidecar or set --on-lost-init",
            self.start_time()
        );
        tracing::debug!(%block, instance, peer = ?peer.id, "a call without Init");
        self.notice(peer.id, &hint);
        Error::new(ErrorKind::NotOpened, hint)
    }

    /// A connection begins. Without a call on it, it counts as one of a runtime that had its Init before.
    pub(super) fn connected(self: &Arc<Self>, peer: &Peer) {
        let called = self.stopped.child_token();
        locked(&self.silent).insert(peer.connection, called.clone());
        let this = Arc::clone(self);
        let peer = *peer;
        self.tasks.spawn(async move {
            let silence = tokio::time::timeout(SILENCE, called.cancelled()).await;
            let silent = locked(&this.silent).remove(&peer.connection).is_some();
            if silence.is_err() && silent && !this.peers.has_init(peer.id) {
                this.notice_silence(peer.id);
            }
        });
    }

    /// A call came on a connection, or it ended.
    pub(super) fn broke_silence(&self, peer: &Peer) {
        if let Some(called) = locked(&self.silent).remove(&peer.connection) {
            called.cancel();
        }
    }

    /// Does nothing any more, and waits for what is under way.
    pub(super) async fn stop(&self) {
        self.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn notice_silence(self: &Arc<Self>, peer: PeerId) {
        let hint = format!(
            "a runtime has connected and sends neither Init nor calls: it had its Init before this process started at \
             {}; daprd does not repeat Init after a component restart: restart the sidecar or set --on-lost-init",
            self.start_time()
        );
        self.notice(peer, &hint);
    }

    /// Does what the policy says.
    fn notice(self: &Arc<Self>, peer: PeerId, hint: &str) {
        if self.stopped.is_cancelled() {
            return;
        }
        match self.policy {
            OnLostInit::None => self.log_once(hint),
            OnLostInit::Hup => {
                if locked(&self.settled).insert(peer) && !hang_up(peer) {
                    self.log_once(hint);
                }
            }
            OnLostInit::Shutdown if is_another(peer) => self.log_once(hint),
            OnLostInit::Shutdown => self.shut_down(hint),
        }
    }

    fn log_once(&self, hint: &str) {
        if !self.hinted.swap(true, Ordering::Relaxed) {
            tracing::warn!("{hint}");
        }
    }

    /// Asks the sidecar to stop, once; when that fails, the next call without Init tries again.
    fn shut_down(self: &Arc<Self>, hint: &str) {
        if self.shutdown.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!("{hint}");
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let asked = tokio::select! {
                asked = this.sidecar.shut_down() => asked,
                () = this.stopped.cancelled() => return,
            };
            match asked {
                Ok(()) => tracing::warn!(sidecar = %this.sidecar, "asked the sidecar to stop"),
                Err(error) => {
                    tracing::warn!(sidecar = %this.sidecar, error, "failed to ask the sidecar to stop");
                    this.shutdown.store(false, Ordering::Relaxed);
                }
            }
        });
    }

    /// When this process started: RFC 3339, to the second.
    fn start_time(&self) -> String {
        let since = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
        prost_types::Timestamp { seconds, nanos: 0 }.to_string()
    }
}

impl fmt::Debug for LostInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LostInit").field(&self.policy).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one step, so a panic elsewhere leaves the table whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
