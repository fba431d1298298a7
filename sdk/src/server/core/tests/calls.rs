//! What one call can meet: its service or none, a panic, its deadline, its peer.

use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::Level;

use super::super::guard::{Call, Handler, respond};
use super::super::{Peer, PeerId};
use super::*;
use crate::observe::captured::Log;

#[tokio::test]
async fn a_call_is_answered() {
    within(async {
        let rig = Rig::start(Probe::echo());
        assert_eq!(rig.client().await.unary("hello").await.unwrap(), "hello");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_nobody_serves_is_unimplemented() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let client = rig.client().await;
        for method in [
            "/test.Probe/Other",
            "/test.Other/Unary",
            "/test.Probe",
            "//",
        ] {
            let status = client
                .call(method, Request::new(Bytes::new()))
                .await
                .unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented, "{method}: {status}");
        }
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_as_http() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let mut raw = raw::connect(&rig.socket()).await;
        let json = raw::request(UNARY)
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let get = raw::request(UNARY).method("GET").body(()).unwrap();
        assert_eq!(
            raw.status_of(json).await,
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        assert_eq!(
            raw.status_of(get).await,
            http::StatusCode::METHOD_NOT_ALLOWED
        );
    })
    .await;
}

#[tokio::test]
async fn answers_carry_no_date() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let mut raw = raw::connect(&rig.socket()).await;
        let (answer, mut body) = raw.open(UNARY).await;
        body.send_data(raw::message(b"x"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(
            answer.headers().get("content-type").unwrap(),
            "application/grpc"
        );
        assert!(answer.headers().get("date").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_a_handler_is_internal_and_harms_no_other_call() {
    within(async {
        let rig = Rig::start(Probe::echo().unary(|request| async move {
            assert!(request.get_ref() != "boom", "the text of the panic");
            Ok(request.into_inner())
        }));
        let client = rig.client().await;
        let status = client.unary("boom").await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains(UNARY) && !status.message().contains("the text"));
        assert_eq!(client.unary("fine").await.unwrap(), "fine");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_before_and_in_the_middle_of_a_stream_is_internal() {
    within(async {
        let rig = Rig::start(Probe::echo().stream(|mut requests| async move {
            let first = requests.message().await?.unwrap_or_default();
            assert!(first != "before", "no stream");
            let replies = stream::iter(0_u8..4).map(|n| {
                assert!(n < 2, "no third message");
                Ok(Bytes::from(vec![n]))
            });
            Ok(replies.boxed())
        }));
        let client = rig.client().await;
        let once = |text: &'static str| stream::iter([Bytes::from(text)]);
        let status = client.stream(once("before")).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);

        let mut replies = client.stream(once("middle")).await.unwrap();
        let status = loop {
            match replies.message().await {
                Ok(message) => assert!(message.is_some(), "the stream ended as if all were well"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Internal, "{status}");
        assert!(status.message().contains(STREAM), "{status}");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_its_handler() {
    within(async {
        let dropped = CancellationToken::new();
        let in_handler = dropped.clone();
        let rig = Rig::start(Probe::echo().unary(move |_| {
            let guard = in_handler.clone().drop_guard();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        }));
        // A raw client: tonic's would end the call by itself.
        let mut raw = raw::connect(&rig.socket()).await;
        let request = raw::grpc(UNARY)
            .header("grpc-timeout", "20m")
            .body(())
            .unwrap();
        let (answer, mut body) = raw.send(request).await;
        body.send_data(raw::message(b"x"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers().get("grpc-status").unwrap(), "4");
        dropped.cancelled().await;
    })
    .await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream_in_its_middle() {
    within(async {
        let rig = Rig::start(Probe::echo().stream(|_| async move {
            Ok(stream::iter([Ok(Bytes::from("first"))])
                .chain(stream::pending())
                .boxed())
        }));
        let mut raw = raw::connect(&rig.socket()).await;
        let request = raw::grpc(STREAM)
            .header("grpc-timeout", "50000u")
            .body(())
            .unwrap();
        let (answer, _open) = raw.send(request).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), raw::message(b"first"));
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.get("grpc-status").unwrap(), "4");
    })
    .await;
}

#[tokio::test]
async fn a_malformed_timeout_is_named() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let client = rig.client().await;
        for bad in [
            "",
            "S",
            "12",
            "1s",
            "123456789S",
            "-1S",
            "1.5S",
            "+1S",
            "1 S",
        ] {
            let mut request = Request::new(Bytes::new());
            request
                .metadata_mut()
                .insert("grpc-timeout", bad.parse().unwrap());
            let status = client.call(UNARY, request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}: {status}");
            assert!(status.message().contains(&format!("{bad:?}")), "{status}");
        }
        for good in ["1H", "1M", "9S", "9999m", "99999999u", "99999999H"] {
            let mut request = Request::new(Bytes::from(good));
            request
                .metadata_mut()
                .insert("grpc-timeout", good.parse().unwrap());
            assert_eq!(client.call(UNARY, request).await.unwrap(), good);
        }
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let client = rig.client().await;
        let too_large = || Bytes::from(vec![0; (16 << 20) + 1]);
        let refused = |status: Status| {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            for size in ["16777217", "16777216"] {
                assert!(status.message().contains(size), "{status}");
            }
        };
        refused(client.unary(too_large()).await.unwrap_err());
        let messages = stream::iter([Bytes::from("fine"), too_large()]);
        let mut replies = client.stream(messages).await.unwrap();
        assert_eq!(replies.message().await.unwrap().unwrap(), "fine");
        refused(replies.message().await.unwrap_err());
        assert_eq!(client.unary("fine").await.unwrap(), "fine");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_handler_calls_out_of_range_stays_so() {
    within(async {
        let rig = Rig::start(
            Probe::echo().unary(|_| async { Err(Status::out_of_range("past the end")) }),
        );
        let status = rig.client().await.unary("").await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
        assert_eq!(status.message(), "past the end");
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn messages_go_both_ways_while_a_stream_is_open() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let (send, receive) = mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
        let mut replies = rig.client().await.stream(requests).await.unwrap();
        for n in 0..100_u8 {
            send.send(Bytes::from(vec![n])).await.unwrap();
            assert_eq!(replies.message().await.unwrap().unwrap(), vec![n]);
        }
        drop(send);
        assert!(replies.message().await.unwrap().is_none());
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_carries_its_peer() {
    within(async {
        let rig = Rig::start(Probe::echo().unary(|request| async move {
            let peer = request.extensions().get::<Peer>().copied().unwrap();
            let PeerId::Process(pid) = peer.id else {
                panic!("no pid: {peer:?}")
            };
            Ok(Bytes::from(format!(
                "{pid} {} {}",
                peer.uid, peer.connection
            )))
        }));
        let (one, two) = (rig.client().await, rig.client().await);
        let (first, second) = (one.unary("").await.unwrap(), two.unary("").await.unwrap());
        let uid = rustix::process::getuid().as_raw();
        let expected = format!("{} {uid} ", std::process::id());
        assert!(first.starts_with(expected.as_bytes()), "{first:?}");
        assert!(second.starts_with(expected.as_bytes()), "{second:?}");
        assert_ne!(first, second, "two connections have two numbers");
        assert_eq!(one.unary("").await.unwrap(), first);
        rig.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_one_line_of_the_log() {
    let log = Log::default();
    let _capture = log.capture(Level::INFO);
    let method = PathAndQuery::from_static("/test.Log/Panic");
    let call = Call::new(method, None, &Arc::default(), || {
        Box::pin(async { panic!("text {}", 1) })
    });
    assert_eq!(
        call.await.unwrap().headers().get("grpc-status").unwrap(),
        "13"
    );
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("/test.Log/Panic") && lines[0].contains("text 1"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_slow_poll_is_warned_about_once_per_method() {
    let log = Log::default();
    let _capture = log.capture(Level::INFO);
    for method in ["/test.Log/SlowA", "/test.Log/SlowA", "/test.Log/SlowB"] {
        let slow = || -> Handler {
            Box::pin(async {
                let started = std::time::Instant::now();
                while started.elapsed() < Duration::from_millis(2) {
                    std::hint::spin_loop();
                }
                respond(http::Response::default()).await
            })
        };
        Call::new(
            PathAndQuery::from_static(method),
            None,
            &Arc::default(),
            slow,
        )
        .await
        .unwrap();
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("SlowA") && lines[1].contains("SlowB"),
        "{lines:?}"
    );
}
