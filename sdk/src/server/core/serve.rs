//! Workers, the accept loop, placement, and the phases of a stop.

use std::io;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixListener as StdListener;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::dispatch::{Dispatch, Session, Shared};
use super::driver::{Driver, Ending};
use super::{Limits, Observer, Peer, PeerId};

/// More workers than this have not paid: a runtime has one connection per socket.
const MOST_WORKERS: usize = 4;
/// How long tasks that were told to end at once may take, and how long a thread that ends waits
/// for its `spawn_blocking` work.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// The accept loop's first and longest pause when descriptors or memory have run out.
const BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// As many workers as there are cores (or as the cgroup's CPU quota allows), at most four.
pub(crate) fn default_workers() -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(MOST_WORKERS).map_or(cores, |most| cores.min(most))
}

/// The threads that serve connections, for any number of listeners. Dropping it tells the threads
/// to end and does not wait for them; [`Workers::stop`] waits.
#[derive(Debug)]
pub(crate) struct Workers {
    seats: Arc<[Seat]>,
    threads: Vec<Thread>,
    offload: Mutex<Option<Thread>>,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The operating system refused a thread or a descriptor.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let threads = (0..count.get())
            .map(|index| {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                Thread::start(format!("worker-{index}"), runtime, stop.clone())
            })
            .collect::<io::Result<Vec<_>>>()?;
        let seat = |thread: &Thread| Seat {
            runtime: thread.runtime.clone(),
            connections: Arc::default(),
        };
        let seats = threads.iter().map(seat).collect();
        Ok(Self {
            seats,
            threads,
            offload: Mutex::default(),
            stop,
            _stop: guard,
        })
    }

    /// Serves what `dispatch` holds to whoever connects to `listener`, until the [`Listening`] is
    /// drained or dropped. The accept loop runs on the runtime that this is called on, the
    /// connections on the workers.
    ///
    /// # Errors
    /// The listener cannot be used on this runtime, or the runtime of offloaded services cannot
    /// be started.
    pub(crate) fn listen(
        &self,
        listener: StdListener,
        dispatch: Dispatch,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> io::Result<Listening> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let offload = if dispatch.offloads() {
            Some(self.offload()?)
        } else {
            None
        };
        let connections = Arc::new(Connections {
            seats: Arc::clone(&self.seats),
            shared: Arc::new(Shared {
                dispatch,
                observer,
                offload,
            }),
            limits,
            ending: Ending::default(),
            tasks: TaskTracker::new(),
            dropped: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept_all(listener, Arc::clone(&connections)));
        Ok(Listening {
            accepting: Some(AbortOnDropHandle::new(accepting)),
            _abort: connections.ending.abort.clone().drop_guard(),
            _go_away: connections.ending.go_away.clone().drop_guard(),
            connections,
        })
    }

    /// The runtimes of the threads.
    #[cfg(feature = "program")]
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = Handle> {
        self.threads.iter().map(|thread| thread.runtime.clone())
    }

    /// The last phase of a stop: ends the runtimes and joins the threads. Call it when everything
    /// that was opened on them is closed. A thread that is still stuck in a handler after `cap`
    /// is left behind with a warning.
    pub(crate) async fn stop(self, cap: Duration) {
        let Self {
            threads,
            offload,
            stop,
            ..
        } = self;
        stop.cancel();
        let until = Instant::now() + cap;
        for thread in threads.into_iter().chain(into_inner(offload)) {
            thread.join(until).await;
        }
    }

    /// The shared runtime of offloaded services, started for the first listener that has any.
    fn offload(&self) -> io::Result<Handle> {
        let mut offload = self.offload.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*offload {
            return Ok(thread.runtime.clone());
        }
        let runtime = Builder::new_multi_thread()
            .thread_name("offload")
            .enable_all()
            .build()?;
        let thread = Thread::start("offload".to_owned(), runtime, self.stop.clone())?;
        Ok(offload.insert(thread).runtime.clone())
    }
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that owns a runtime, so that no runtime is ever dropped inside another one.
#[derive(Debug)]
struct Thread {
    handle: thread::JoinHandle<()>,
    runtime: Handle,
    /// Fails when the thread drops its end, as the last thing it does.
    running: oneshot::Receiver<()>,
}

impl Thread {
    fn start(name: String, runtime: Runtime, stop: CancellationToken) -> io::Result<Self> {
        let handle = runtime.handle().clone();
        let (alive, running) = oneshot::channel();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _alive: oneshot::Sender<()> = alive;
            runtime.block_on(stop.cancelled());
            runtime.shutdown_timeout(LAST_WAIT);
        })?;
        Ok(Self {
            handle: thread,
            runtime: handle,
            running,
        })
    }

    async fn join(self, until: Instant) {
        let name = self.handle.thread().name().unwrap_or_default().to_owned();
        if timeout_at(until, self.running).await.is_err() {
            tracing::warn!(
                thread = name,
                "a worker is stuck in a handler and was left behind"
            );
        } else if self.handle.join().is_err() {
            tracing::error!(thread = name, "a worker panicked");
        }
    }
}

/// A worker as the accept loop sees it.
#[derive(Debug)]
struct Seat {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Seat {
    fn take(&self) -> Taken {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Taken(Arc::clone(&self.connections))
    }
}

/// One connection's place on a worker.
struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One socket being served. Dropping it ends its connections at once.
pub(crate) struct Listening {
    connections: Arc<Connections>,
    accepting: Option<AbortOnDropHandle<()>>,
    _abort: DropGuard,
    _go_away: DropGuard,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening")
            .field("services", &self.connections.shared.dispatch)
            .field("connections", &self.connections.tasks.len())
            .finish()
    }
}

/// What was left when a [`Listening`] was drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Calls and streams that did not end within the cap and were dropped.
    pub(crate) dropped_calls: usize,
    /// Connections that could not even be dropped: a handler blocks their worker.
    pub(crate) stuck_connections: usize,
}

impl Listening {
    /// The first phase of a stop: closes the listener. Connections live on.
    pub(crate) async fn stop_accepting(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            if let Err(error) = accepting.await
                && error.is_panic()
            {
                tracing::error!(%error, "the accept loop panicked");
            }
        }
    }

    /// The second phase: tells the peers to go away, lets calls in flight finish for at most
    /// `cap`, then drops what is left. The workers live on.
    pub(crate) async fn drain(mut self, cap: Duration) -> Drained {
        self.stop_accepting().await;
        let Connections {
            ending,
            tasks,
            dropped,
            ..
        } = &*self.connections;
        tasks.close();
        ending.go_away.cancel();
        if timeout(cap, tasks.wait()).await.is_err() {
            ending.abort.cancel();
            // The value that counts is the number of tasks below.
            let _elapsed = timeout(LAST_WAIT, tasks.wait()).await;
        }
        Drained {
            dropped_calls: dropped.load(Ordering::Acquire),
            stuck_connections: tasks.len(),
        }
    }
}

/// What the accept loop needs to serve a connection.
struct Connections {
    seats: Arc<[Seat]>,
    shared: Arc<Shared>,
    limits: Limits,
    ending: Ending,
    tasks: TaskTracker,
    dropped: AtomicUsize,
}

/// Accepts until it is aborted.
async fn accept_all(listener: UnixListener, connections: Arc<Connections>) {
    let mut pause = None;
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => match admit(stream, &connections.limits) {
                Ok(admitted) => {
                    pause = None;
                    if let Some((stream, peer)) = admitted {
                        place(stream, peer, &connections);
                    }
                    continue;
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
        ) {
            continue;
        }
        if pause.is_none() {
            tracing::warn!(%error, "failed to accept a connection: trying again until it works");
        }
        sleep(*pause.insert(next_pause(pause))).await;
    }
}

fn next_pause(last: Option<Duration>) -> Duration {
    last.map_or(BACK_OFF, |last| LONGEST_BACK_OFF.min(last * 2))
}

/// Learns who connected; `None` for a user that may not.
fn admit(stream: UnixStream, limits: &Limits) -> io::Result<Option<(StdStream, Peer)>> {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
    let credentials = stream.peer_cred()?;
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let id = match credentials.pid() {
        Some(pid) if pid > 0 => PeerId::Process(pid),
        _ => PeerId::Connection(connection),
    };
    let peer = Peer {
        id,
        connection,
        uid: credentials.uid(),
        gid: credentials.gid(),
    };
    if limits
        .allowed_uids
        .as_ref()
        .is_some_and(|allowed| !allowed.contains(&peer.uid))
    {
        tracing::warn!(
            uid = peer.uid,
            ?id,
            "refused a connection: this user is not allowed"
        );
        return Ok(None);
    }
    Ok(Some((stream.into_std()?, peer)))
}

/// Gives a connection to the worker that has the fewest.
fn place(stream: StdStream, peer: Peer, connections: &Arc<Connections>) {
    let fewest = |seat: &&Seat| seat.connections.load(Ordering::Relaxed);
    let Some(seat) = connections.seats.iter().min_by_key(fewest) else {
        return;
    };
    let taken = seat.take();
    let on_worker = Arc::clone(connections);
    let task = async move {
        let _taken = taken;
        let stream = match UnixStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to serve a connection");
                return;
            }
        };
        let Connections {
            shared,
            limits,
            ending,
            dropped,
            ..
        } = &*on_worker;
        let session = Session::open(peer, Arc::clone(shared));
        let calls = Driver::new(stream, session, limits, ending.clone()).await;
        dropped.fetch_add(calls, Ordering::AcqRel);
    };
    seat.runtime.spawn(connections.tasks.track_future(task));
}
