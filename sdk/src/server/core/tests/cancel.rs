//! A call that nobody waits for any more is gone, wherever its handler runs.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;

/// A unary handler that never ends, and the tokens that say where it is.
#[derive(Clone, Default)]
struct Endless {
    started: CancellationToken,
    dropped: CancellationToken,
}

impl Endless {
    fn probe(&self) -> Probe {
        let endless = self.clone();
        let unary = endless.clone();
        Probe::echo()
            .unary(move |request| {
                let Endless { started, dropped } = unary.clone();
                async move {
                    if request.get_ref() == "echo" {
                        return Ok(request.into_inner());
                    }
                    let _guard = dropped.drop_guard();
                    started.cancel();
                    std::future::pending().await
                }
            })
            .stream(move |_| {
                let Endless { started, dropped } = endless.clone();
                async move {
                    let guard = dropped.drop_guard();
                    started.cancel();
                    Ok(stream::pending()
                        .map(move |message: Result<Bytes, Status>| {
                            let _guard = &guard;
                            message
                        })
                        .boxed())
                }
            })
    }
}

#[tokio::test]
async fn a_cancelled_call_drops_its_handler() {
    within(async {
        let endless = Endless::default();
        let rig = Rig::start(endless.probe());
        let client = rig.client().await;
        tokio::select! {
            reply = client.unary("") => panic!("answered: {reply:?}"),
            () = endless.started.cancelled() => {}
        }
        endless.dropped.cancelled().await;
        assert_eq!(client.unary("echo").await.unwrap(), "echo");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_stream_drops_its_messages() {
    within(async {
        let endless = Endless::default();
        let rig = Rig::start(endless.probe());
        let mut raw = raw::connect(&rig.socket()).await;
        let (answer, mut body) = raw.open(STREAM).await;
        assert_eq!(answer.await.unwrap().status(), 200);
        assert!(endless.started.is_cancelled() && !endless.dropped.is_cancelled());
        body.send_reset(h2::Reason::CANCEL);
        endless.dropped.cancelled().await;
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_drops_the_handlers() {
    within(async {
        let endless = Endless::default();
        let rig = Rig::start(endless.probe());
        let mut raw = raw::connect(&rig.socket()).await;
        let (_answer, mut body) = raw.open(UNARY).await;
        body.send_data(raw::message(b""), true).unwrap();
        endless.started.cancelled().await;
        raw.disconnect().await;
        endless.dropped.cancelled().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_offloaded_call_can_be_cancelled() {
    within(async {
        let endless = Endless::default();
        let rig = Rig::with(
            endless.probe(),
            Offload::Yes,
            1,
            Limits::default(),
            Arc::new(()),
        );
        let client = rig.client().await;
        tokio::select! {
            reply = client.unary("") => panic!("answered: {reply:?}"),
            () = endless.started.cancelled() => {}
        }
        endless.dropped.cancelled().await;
        assert_eq!(client.unary("echo").await.unwrap(), "echo");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_offloaded_handler_may_panic_and_runs_elsewhere() {
    within(async {
        let probe = Probe::echo().unary(|request| async move {
            assert!(request.get_ref() != "boom", "offloaded");
            Ok(Bytes::from(
                std::thread::current().name().unwrap_or_default().to_owned(),
            ))
        });
        let rig = Rig::with(probe, Offload::Yes, 1, Limits::default(), Arc::new(()));
        let client = rig.client().await;
        assert_eq!(
            client.unary("boom").await.unwrap_err().code(),
            Code::Internal
        );
        assert_eq!(client.unary("").await.unwrap(), "offload");
        rig.stop().await;
    })
    .await;
}

/// A handler that blocks its thread on "block" until the test lets it go.
pub(super) struct Blocker {
    pub(super) probe: Probe,
    /// Cancelled when the handler is about to block.
    pub(super) blocking: CancellationToken,
    release: SyncSender<()>,
}

impl Blocker {
    pub(super) fn new() -> Self {
        let blocking = CancellationToken::new();
        let (release, released): (_, Receiver<()>) = sync_channel(1);
        let (token, released) = (blocking.clone(), Arc::new(Mutex::new(released)));
        let probe = Probe::echo().unary(move |request| {
            let (token, released) = (token.clone(), Arc::clone(&released));
            async move {
                if request.get_ref() == "block" {
                    token.cancel();
                    released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                }
                Ok(request.into_inner())
            }
        });
        Self {
            probe,
            blocking,
            release,
        }
    }

    pub(super) fn release(&self) {
        self.release.send(()).unwrap();
    }
}

/// A runtime whose time-outs fire while a handler blocks cancels calls that the server has not
/// looked at yet. h2 counts those and would end the connection after 20.
#[tokio::test]
async fn three_hundred_cancels_behind_a_blocked_worker_do_not_end_the_connection() {
    within(async {
        let blocker = Blocker::new();
        let rig = Rig::start(blocker.probe.clone());
        let mut raw = raw::connect(&rig.socket()).await;
        assert_eq!(raw.unary(UNARY, b"warm up").await, "warm up");
        let (answer, mut body) = raw.open(UNARY).await;
        body.send_data(raw::message(b"block"), true).unwrap();
        blocker.blocking.cancelled().await;

        let mut calls = Vec::new();
        for _ in 0..300 {
            let (answer, mut body) = raw.open(UNARY).await;
            body.send_data(raw::message(b"cancelled"), false).unwrap();
            calls.push((answer, body));
        }
        // What is cancelled before it was written never reaches the server.
        raw.flushed().await;
        for (_, body) in &mut calls {
            body.send_reset(h2::Reason::CANCEL);
        }
        raw.flushed().await;
        blocker.release();
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(raw.unary(UNARY, b"alive").await, "alive");
        drop(calls);
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_blocked_worker_does_not_stall_the_connections_of_another() {
    within(async {
        let blocker = Blocker::new();
        let rig = Rig::with(
            blocker.probe.clone(),
            Offload::No,
            2,
            Limits::default(),
            Arc::new(()),
        );
        let (blocked, free) = (rig.client().await, rig.client().await);
        let stuck = tokio::spawn(async move { blocked.unary("block").await });
        blocker.blocking.cancelled().await;
        for _ in 0..100 {
            assert_eq!(free.unary("at once").await.unwrap(), "at once");
        }
        assert!(!stuck.is_finished());
        blocker.release();
        assert_eq!(stuck.await.unwrap().unwrap(), "block");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_offloaded_handler_that_blocks_does_not_stall_its_own_connection() {
    within(async {
        let blocker = Blocker::new();
        let rig = Rig::with(
            blocker.probe.clone(),
            Offload::Yes,
            1,
            Limits::default(),
            Arc::new(()),
        );
        let client = rig.client().await;
        let blocked = client.clone();
        let stuck = tokio::spawn(async move { blocked.unary("block").await });
        blocker.blocking.cancelled().await;
        for _ in 0..100 {
            assert_eq!(client.unary("at once").await.unwrap(), "at once");
        }
        blocker.release();
        assert_eq!(stuck.await.unwrap().unwrap(), "block");
        rig.stop().await;
    })
    .await;
}
