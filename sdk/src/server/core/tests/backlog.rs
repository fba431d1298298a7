//! A reader that stops: what it was answered is bounded, and only it waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use super::*;

const LARGE: usize = 8 << 20;
/// How many large answers a connection has at a time.
const ROOM: usize = 4;

/// A service whose answer to "large" is large, and how many of those it has made.
#[derive(Clone, Default)]
struct Large(Arc<AtomicUsize>);

impl Large {
    fn probe(&self) -> Probe {
        let large = self.clone();
        let streamed = self.clone();
        Probe::echo()
            .unary(move |request| {
                let large = large.clone();
                async move {
                    Ok(match &request.get_ref()[..] {
                        b"large" => large.make(),
                        _ => request.into_inner(),
                    })
                }
            })
            .stream(move |_| {
                let large = streamed.clone();
                async move { Ok(stream::repeat_with(move || Ok(large.make())).boxed()) }
            })
    }

    /// No two are equal.
    fn make(&self) -> Bytes {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Bytes::from(vec![u8::try_from(number).unwrap(); LARGE])
    }

    fn made(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    async fn made_at_least(&self, count: usize) {
        while self.made() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Asks for large answers.
async fn ask(raw: &mut raw::Raw, count: usize) -> Vec<h2::client::ResponseFuture> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let (answer, mut body) = raw.open(UNARY).await;
        body.send_data(raw::message(b"large"), true).unwrap();
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn a_call_begins_when_there_is_room_for_its_answer() {
    const CALLS: usize = 30;
    within(async {
        let large = Large::default();
        let rig = Rig::start(large.probe());
        let mut raw = raw::connect(&rig.socket()).await;
        let answers = ask(&mut raw, CALLS).await;
        large.made_at_least(ROOM).await;
        // All connections share a worker.
        assert_eq!(rig.client().await.unary("other").await.unwrap(), "other");
        for (read, answer) in answers.into_iter().enumerate() {
            assert!(
                large.made() <= read + ROOM,
                "{} made, {read} read",
                large.made()
            );
            let number = u8::try_from(read).unwrap();
            let answer = raw::read(answer).await;
            assert!(answer == vec![number; LARGE], "answer {read} is another");
        }
        assert_eq!(large.made(), CALLS);
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_cancels_an_answer_makes_room() {
    within(async {
        let large = Large::default();
        let rig = Rig::start(large.probe());
        let mut raw = raw::connect(&rig.socket()).await;
        let mut answers = ask(&mut raw, 3 * ROOM).await;
        large.made_at_least(ROOM).await;
        // Those that have not begun never do.
        answers.drain(ROOM..2 * ROOM);
        raw.heard().await;
        answers.drain(..ROOM);
        for (answer, number) in answers.into_iter().zip(ROOM..) {
            let number = u8::try_from(number).unwrap();
            assert!(raw::read(answer).await == vec![number; LARGE]);
        }
        assert_eq!(large.made(), 2 * ROOM);
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_waits_has_its_deadline() {
    within(async {
        let large = Large::default();
        let rig = Rig::start(large.probe());
        let mut raw = raw::connect(&rig.socket()).await;
        let _unread = ask(&mut raw, ROOM).await;
        large.made_at_least(ROOM).await;
        let hurried = raw::grpc(UNARY).header("grpc-timeout", "20m");
        let (answer, mut body) = raw.send(hurried.body(()).unwrap()).await;
        body.send_data(raw::message(b"large"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers().get("grpc-status").unwrap(), "4");
        assert_eq!(large.made(), ROOM);
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn streams_that_nobody_reads_keep_no_call_from_beginning() {
    const STREAMS: usize = 3;
    within(async {
        let large = Large::default();
        let rig = Rig::start(large.probe());
        let client = rig.client().await;
        let mut unread = Vec::new();
        for _ in 0..STREAMS {
            unread.push(client.stream(stream::empty()).await.unwrap());
        }
        // Of each, one message is on its way and one is ready, whatever the reader does.
        large.made_at_least(2 * STREAMS).await;
        assert_eq!(client.unary("call").await.unwrap(), "call");
        assert_eq!(large.made(), 2 * STREAMS);
        let mut replies = unread.swap_remove(0);
        for read in 1..10 {
            assert_eq!(replies.message().await.unwrap().unwrap().len(), LARGE);
            assert!(large.made() <= read + 2 * STREAMS, "{} made", large.made());
        }
        drop((client, replies, unread));
        rig.stop().await;
    })
    .await;
}
