//! Values of 8 MB and peers that stop: what the server keeps for them is bounded, and nobody else notices.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::{Process, eventually, socket_folder, within};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::task::AtomicWaker;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::state_store_client::StateStoreClient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::program::serve;

const LARGE: usize = 8 << 20;
const MB: usize = 1 << 20;
/// As wide as windows may be: nothing but the socket holds a server back.
const WIDEST: u32 = (1 << 31) - 1;

type Client = StateStoreClient<Channel>;

/// The largest amount of memory that a process has had, in bytes.
fn peak(process: &Process) -> usize {
    process.memory("VmHWM").try_into().unwrap()
}

/// Whether a client reads what comes.
#[derive(Debug, Default)]
struct Tap {
    is_closed: AtomicBool,
    reader: AtomicWaker,
}

impl Tap {
    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
        self.reader.wake();
    }
}

/// A socket behind a tap.
struct Tapped(UnixStream, Arc<Tap>);

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.reader.register(cx.waker());
        if self.1.is_closed.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A client with a connection of its own.
async fn connect(socket: &Path, tap: &Arc<Tap>) -> Client {
    let (socket, tap) = (socket.to_owned(), Arc::clone(tap));
    let connect = tower::service_fn(move |_| {
        let (socket, tap) = (socket.clone(), Arc::clone(&tap));
        async move {
            let stream = UnixStream::connect(socket).await?;
            io::Result::Ok(TokioIo::new(Tapped(stream, tap)))
        }
    });
    let endpoint = Endpoint::from_static("http://localhost")
        .initial_stream_window_size(WIDEST)
        .initial_connection_window_size(WIDEST);
    let channel = endpoint.connect_with_connector(connect).await.unwrap();
    StateStoreClient::new(channel).max_decoding_message_size(usize::MAX)
}

async fn get(client: &Client, key: String) -> Bytes {
    let request = proto::GetRequest {
        key,
        ..Default::default()
    };
    let answer = client.clone().get(request).await.unwrap();
    answer.into_inner().data
}

fn set_request(number: u8) -> proto::SetRequest {
    proto::SetRequest {
        key: number.to_string(),
        value: Bytes::from(vec![number; LARGE]),
        ..Default::default()
    }
}

/// Serves `memory` with values of 8 MB at the keys 0 to 3.
async fn serve_values(folder: &Path) -> (Process, Client) {
    let component = serve(folder, &["memory", "--workers=2"]).await;
    let socket = folder.join("memory.sock");
    let mut client = connect(&socket, &Arc::default()).await;
    let init = proto::InitRequest {
        metadata: Some(proto::MetadataRequest::default()),
    };
    client.init(init).await.unwrap();
    for number in 0..4 {
        client.set(set_request(number)).await.unwrap();
    }
    (component, client)
}

#[tokio::test]
async fn a_reader_that_stops_costs_a_bounded_amount_and_then_gets_everything() {
    const CALLS: usize = 200;
    let folder = socket_folder();
    let (component, other) = serve_values(folder.path()).await;
    let before = peak(&component);

    let tap = Arc::new(Tap::default());
    let stopping = connect(&folder.path().join("memory.sock"), &tap).await;
    assert_eq!(get(&stopping, "unknown".to_owned()).await, "");
    tap.close();
    let calls = (0..CALLS).map(|call| {
        let client = stopping.clone();
        tokio::spawn(async move {
            let number = u8::try_from(call % 4).unwrap();
            get(&client, number.to_string()).await == vec![number; LARGE]
        })
    });
    let calls: Vec<_> = calls.collect();
    eventually("answers are made", async || {
        peak(&component) > before + 3 * LARGE
    })
    .await;
    for _ in 0..10 {
        let value = within("another connection", get(&other, "3".to_owned())).await;
        assert_eq!(value.len(), LARGE);
    }
    assert!(calls.iter().all(|call| !call.is_finished()));

    tap.open();
    for right in within("the answers", join_all(calls)).await {
        assert!(right.unwrap());
    }
    // The four values and what a client sends ahead are there before; then come the answers that wait, of 32 MB and the
    // one that goes over it, the one of the other connection, and what the allocator has not given back.
    let after = peak(&component);
    assert!(
        after < before + 100 * MB && after < 200 * MB,
        "{before}, then {after} bytes"
    );
}

#[tokio::test]
async fn a_value_costs_what_came_of_it() {
    const CALLS: usize = 200;
    const SENT: usize = 64 << 10;
    let folder = socket_folder();
    let (component, other) = serve_values(folder.path()).await;
    let before = peak(&component);

    let stream = UnixStream::connect(folder.path().join("memory.sock")).await;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream.unwrap()));
    let (mut requests, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let mut half_sent = Vec::new();
    for _ in 0..CALLS {
        let mut half = BytesMut::with_capacity(SENT);
        half.put_u8(0);
        half.put_u32(u32::try_from(LARGE).unwrap());
        half.resize(SENT, 0);
        let half = Ok::<_, io::Error>(Frame::data(half.freeze()));
        let body = StreamBody::new(futures::stream::iter([half]).chain(futures::stream::pending()));
        let request = Request::post("http://localhost/dapr.proto.components.v1.StateStore/Set")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Box::pin(body))
            .unwrap();
        requests.ready().await.unwrap();
        half_sent.push(requests.send_request(request));
    }
    // The server has all that was sent; it holds that, and not what was announced.
    eventually("what was sent is there", async || {
        peak(&component) > before + CALLS * SENT * 3 / 4
    })
    .await;
    let value = within("another connection", get(&other, "2".to_owned())).await;
    assert_eq!(value.len(), LARGE);
    let after = peak(&component);
    assert!(
        after < before + 3 * CALLS * SENT + 2 * LARGE,
        "{before}, then {after} bytes"
    );

    drop((half_sent, requests));
    connection.abort();
    let set = other.clone().set(set_request(4)).await;
    set.unwrap();
    assert_eq!(get(&other, "4".to_owned()).await.len(), LARGE);
}
