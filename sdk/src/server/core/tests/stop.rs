//! The phases of a stop, and what an observer hears.

use std::sync::Mutex;

use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::super::Peer;
use super::cancel::Blocker;
use super::*;

/// A unary handler that waits for the test.
#[derive(Clone, Default)]
struct Gate {
    reached: CancellationToken,
    open: CancellationToken,
}

impl Gate {
    fn probe(&self) -> Probe {
        let gate = self.clone();
        Probe::echo().unary(move |request| {
            let Gate { reached, open } = gate.clone();
            async move {
                reached.cancel();
                open.cancelled().await;
                Ok(request.into_inner())
            }
        })
    }
}

#[tokio::test]
async fn a_drain_lets_calls_in_flight_finish() {
    within(async {
        let gate = Gate::default();
        let Rig {
            folder,
            workers,
            mut listening,
        } = Rig::start(gate.probe());
        let client = Rig::client_of(folder.path()).await;
        let caller = client.clone();
        let call = tokio::spawn(async move { caller.unary("late").await });
        gate.reached.cancelled().await;

        listening.stop_accepting().await;
        let socket = folder.path().join("probe.sock");
        assert!(
            UnixStream::connect(socket).await.is_err(),
            "the listener is closed"
        );
        let drain = tokio::spawn(listening.drain(PATIENCE));
        assert!(!call.is_finished() && !drain.is_finished());
        gate.open.cancel();
        assert_eq!(call.await.unwrap().unwrap(), "late");
        assert_eq!(drain.await.unwrap(), Drained::default());
        assert_eq!(
            client.unary("").await.unwrap_err().code(),
            Code::Unavailable
        );
        workers.stop(PATIENCE).await;
    })
    .await;
}

#[tokio::test]
async fn a_drain_drops_calls_at_its_cap() {
    within(async {
        let gate = Gate::default();
        let rig = Rig::start(gate.probe());
        let client = rig.client().await;
        let call = tokio::spawn(async move { client.unary("never").await });
        gate.reached.cancelled().await;
        let drained = rig.listening.drain(Duration::from_millis(50)).await;
        assert_eq!(
            drained,
            Drained {
                dropped_calls: 1,
                stuck_connections: 0
            }
        );
        assert!(call.await.unwrap().is_err());
        rig.workers.stop(PATIENCE).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_stuck_in_a_handler_holds_nobody_up() {
    within(async {
        let blocker = Blocker::new();
        let rig = Rig::start(blocker.probe.clone());
        let client = rig.client().await;
        let call = tokio::spawn(async move { client.unary("block").await });
        blocker.blocking.cancelled().await;
        let drained = rig.listening.drain(Duration::from_millis(10)).await;
        assert_eq!(
            drained,
            Drained {
                dropped_calls: 0,
                stuck_connections: 1
            }
        );
        rig.workers.stop(Duration::from_millis(10)).await;
        assert!(!call.is_finished());
        blocker.release();
        // The thread ends by itself now, and its connection with it.
        let _ended = call.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn dropping_what_listens_ends_its_connections() {
    within(async {
        let gate = Gate::default();
        let Rig {
            folder,
            workers,
            listening,
        } = Rig::start(gate.probe());
        let client = Rig::client_of(folder.path()).await;
        let call = tokio::spawn(async move { client.unary("never").await });
        gate.reached.cancelled().await;
        drop(listening);
        assert!(call.await.unwrap().is_err());
        workers.stop(PATIENCE).await;
    })
    .await;
}

#[tokio::test]
async fn two_listeners_share_workers_and_stop_apart() {
    within(async {
        let one = Rig::start(Probe::echo());
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("probe.sock")).unwrap();
        let mut dispatch = Dispatch::default();
        dispatch.add(Probe::echo(), Offload::No);
        let two = one
            .workers
            .listen(listener, dispatch, Limits::default(), Arc::new(()))
            .unwrap();
        let client = Rig::client_of(folder.path()).await;
        assert_eq!(client.unary("two").await.unwrap(), "two");
        assert_eq!(two.drain(PATIENCE).await, Drained::default());
        assert_eq!(one.client().await.unary("one").await.unwrap(), "one");
        one.stop().await;
    })
    .await;
}

/// Reads HTTP/2 frames without a library between the test and the bytes.
struct Frames(UnixStream);

impl Frames {
    /// Sends a connection preface and empty settings.
    async fn connect(rig: &Rig) -> Self {
        let mut stream = UnixStream::connect(rig.socket()).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        stream
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        Self(stream)
    }

    /// The type and payload of the next frame.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    async fn skip_to(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let (found, payload) = self.next().await.expect("the connection ended early");
            if found == kind {
                return payload;
            }
        }
    }
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

#[tokio::test]
async fn a_drain_says_go_away_on_the_wire() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let mut frames = Frames::connect(&rig).await;
        let settings = frames.skip_to(SETTINGS).await;
        assert!(!settings.is_empty(), "the server's own settings");
        frames
            .0
            .write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])
            .await
            .unwrap();

        let drain = tokio::spawn(rig.listening.drain(PATIENCE));
        let no_error = [0, 0, 0, 0];
        let first = frames.skip_to(GO_AWAY).await;
        assert_eq!(
            first[..4],
            [0x7f, 0xff, 0xff, 0xff],
            "calls on the way are still taken"
        );
        assert_eq!(first[4..8], no_error);
        let ping = frames.skip_to(PING).await;
        frames
            .0
            .write_all(&[0, 0, 8, PING, 1, 0, 0, 0, 0])
            .await
            .unwrap();
        frames.0.write_all(&ping).await.unwrap();
        let last = frames.skip_to(GO_AWAY).await;
        assert_eq!(last[..4], [0, 0, 0, 0], "no call was taken");
        assert_eq!(last[4..8], no_error);
        assert!(frames.next().await.is_none(), "the connection is closed");
        assert_eq!(drain.await.unwrap(), Drained::default());
        rig.workers.stop(PATIENCE).await;
    })
    .await;
}

/// What was observed, in order.
#[derive(Clone)]
struct Witness(
    Arc<Mutex<Vec<(u64, String)>>>,
    tokio::sync::mpsc::Sender<()>,
);

impl Witness {
    fn note(&self, peer: &Peer, what: impl Into<String>) {
        self.0.lock().unwrap().push((peer.connection, what.into()));
    }
}

impl Observer for Witness {
    fn opened(&self, peer: &Peer) {
        self.note(peer, "opened");
    }

    fn first_call(&self, peer: &Peer, service: &'static str) {
        self.note(peer, service);
    }

    fn closed(&self, peer: &Peer) {
        self.note(peer, "closed");
        self.1.try_send(()).unwrap();
    }
}

#[tokio::test]
async fn an_observer_hears_of_connections_and_first_calls() {
    within(async {
        let (closed, mut was_closed) = tokio::sync::mpsc::channel(8);
        let witness = Witness(Arc::default(), closed);
        let observer = Arc::new(witness.clone());
        let rig = Rig::with(Probe::echo(), Offload::No, 0, Limits::default(), observer);
        let mut raw = raw::connect(&rig.socket()).await;
        assert_eq!(raw.unary("/test.Other/Unary", b"").await, "");
        assert_eq!(raw.unary(UNARY, b"1").await, "1");
        assert_eq!(raw.unary(UNARY, b"2").await, "2");
        raw.disconnect().await;
        was_closed.recv().await.unwrap();
        let idle = UnixStream::connect(rig.socket()).await.unwrap();
        drop(idle);
        was_closed.recv().await.unwrap();

        let seen = std::mem::take(&mut *witness.0.lock().unwrap());
        let what: Vec<&str> = seen.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(what, ["opened", "test.Probe", "closed", "opened", "closed"]);
        assert_eq!(seen[0].0, seen[2].0);
        assert_ne!(seen[0].0, seen[3].0);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_whose_peer_leaves_ends_before_its_connection_is_reported_closed() {
    within(async {
        let (closed, mut was_closed) = tokio::sync::mpsc::channel(8);
        let witness = Witness(Arc::default(), closed);
        let dropped = CancellationToken::new();
        let token = dropped.clone();
        let probe = Probe::echo().stream(move |requests| {
            let guard = token.clone().drop_guard();
            async move {
                let replies = requests.map(move |message| {
                    let _guard = &guard;
                    message
                });
                Ok(replies.boxed())
            }
        });
        let rig = Rig::with(probe, Offload::No, 1, Limits::default(), Arc::new(witness));
        let mut raw = raw::connect(&rig.socket()).await;
        let (answer, _open) = raw.open(STREAM).await;
        assert_eq!(answer.await.unwrap().status(), 200);
        raw.disconnect().await;
        was_closed.recv().await.unwrap();
        assert!(dropped.is_cancelled());
        rig.stop().await;
    })
    .await;
}
