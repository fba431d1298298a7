//! Flow control: large messages, slow readers, and small frames that nobody reads.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::try_join_all;
use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn four_calls_of_eight_megabytes_pass_at_once_whatever_the_windows() {
    within(async {
        for (stream_window, connection_window) in
            [(65_535, 65_535), (1 << 20, 4 << 20), (16 << 20, 64 << 20)]
        {
            let limits = Limits {
                stream_window,
                connection_window,
                ..Limits::default()
            };
            let rig = Rig::with(Probe::echo(), Offload::No, 1, limits, Arc::new(()));
            let client = rig.client().await;
            let calls = (1..=4_u8).map(|n| {
                let (client, message) = (client.clone(), Bytes::from(vec![n; 8 << 20]));
                async move { (client.unary(message.clone()).await).map(|reply| reply == message) }
            });
            assert_eq!(try_join_all(calls).await.unwrap(), [true; 4]);
            drop(client);
            rig.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_holds_a_stream_of_a_hundred_megabytes_back() {
    const MESSAGES: usize = 1600;
    within(async {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let rig = Rig::start(Probe::echo().stream(move |_| {
            let count = Arc::clone(&count);
            async move {
                let message = Bytes::from(vec![7; 64 << 10]);
                let messages = stream::repeat(message).take(MESSAGES).map(move |message| {
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok(message)
                });
                Ok(messages.boxed())
            }
        }));
        let mut replies = rig.client().await.stream(stream::pending()).await.unwrap();
        let mut read = 0;
        while let Some(message) = replies.message().await.unwrap() {
            assert_eq!(message.len(), 64 << 10);
            read += 1;
            if read % 100 == 1 {
                // The reader is slow here; a server that does not wait for it runs far ahead.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let ahead = made.load(Ordering::SeqCst) - read;
            assert!(ahead < 200, "{ahead} messages ahead of message {read}");
        }
        assert_eq!(read, MESSAGES);
        drop(replies);
        rig.stop().await;
    })
    .await;
}

/// Acknowledgements on a pull stream are tiny frames, and h2 ends a connection on which too many
/// of them wait unread, measured against the connection window.
#[tokio::test]
async fn thousands_of_tiny_frames_may_wait_unread() {
    const FRAMES: usize = 4000;
    within(async {
        let (started, go) = (CancellationToken::new(), CancellationToken::new());
        let tokens = (started.clone(), go.clone());
        let rig = Rig::start(Probe::echo().stream(move |mut requests| {
            let (started, go) = tokens.clone();
            async move {
                started.cancel();
                go.cancelled().await;
                let mut count = 0;
                while requests.message().await?.is_some() {
                    count += 1;
                }
                Ok(stream::iter([Ok(Bytes::from(format!("{count}")))]).boxed())
            }
        }));
        let mut raw = raw::connect(&rig.socket()).await;
        let (answer, mut frames) = raw.open(STREAM).await;
        started.cancelled().await;
        for _ in 0..FRAMES {
            frames.send_data(raw::message(b"ok"), false).unwrap();
        }
        // An answered call shows that the server has read all frames before it.
        raw.flushed().await;
        assert_eq!(raw.unary(UNARY, b"alive").await, "alive");
        go.cancel();
        frames.send_data(Bytes::new(), true).unwrap();
        let mut replies = answer.await.unwrap().into_body();
        assert_eq!(
            replies.data().await.unwrap().unwrap(),
            raw::message(b"4000")
        );
        raw.disconnect().await;
        rig.stop().await;
    })
    .await;
}
