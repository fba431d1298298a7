//! A client on the `h2` crate, for what tonic's client would hide.

use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::{Request, StatusCode};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub(super) struct Raw {
    send: SendRequest<Bytes>,
    pings: PingPong,
    connection: JoinHandle<Result<(), h2::Error>>,
}

pub(super) async fn connect(socket: &Path) -> Raw {
    over(UnixStream::connect(socket).await.unwrap()).await
}

pub(super) async fn over(stream: UnixStream) -> Raw {
    let (send, mut connection) = h2::client::Builder::new()
        // What is not read of one stream takes nothing from the others.
        .initial_connection_window_size(1 << 30)
        .handshake(stream)
        .await
        .unwrap();
    Raw {
        send,
        pings: connection.ping_pong().unwrap(),
        connection: tokio::spawn(connection),
    }
}

/// A request that lacks what makes it gRPC.
pub(super) fn request(method: &str) -> http::request::Builder {
    Request::post(format!("http://localhost{method}"))
}

pub(super) fn grpc(method: &str) -> http::request::Builder {
    request(method)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// One message in gRPC's framing.
pub(super) fn message(payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(payload.len()).unwrap());
    framed.put_slice(payload);
    framed.freeze()
}

/// The message of an answer, without a look at its status.
pub(super) async fn read(answer: ResponseFuture) -> Bytes {
    let mut body = answer.await.unwrap().into_body();
    let mut reply = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        reply.extend_from_slice(&data);
    }
    reply.split_off(5.min(reply.len())).freeze()
}

impl Raw {
    pub(super) async fn send(
        &mut self,
        request: Request<()>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut send = self.send.clone().ready().await.unwrap();
        send.send_request(request, false).unwrap()
    }

    /// Opens a call whose messages the caller sends.
    pub(super) async fn open(&mut self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.send(grpc(method).body(()).unwrap()).await
    }

    pub(super) async fn status_of(&mut self, request: Request<()>) -> StatusCode {
        let (answer, mut body) = self.send(request).await;
        body.send_data(Bytes::new(), true).unwrap();
        answer.await.unwrap().status()
    }

    /// One whole call, without a look at its status.
    pub(super) async fn unary(&mut self, method: &str, payload: &[u8]) -> Bytes {
        let (answer, mut body) = self.open(method).await;
        body.send_data(message(payload), true).unwrap();
        read(answer).await
    }

    /// Lets the connection's task, which shares this thread, write what it has.
    pub(super) async fn flushed(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Returns when the server has done what everything sent before asks of it.
    pub(super) async fn heard(&mut self) {
        self.flushed().await;
        self.pings.ping(Ping::opaque()).await.unwrap();
    }

    /// Closes the socket without a word.
    pub(super) async fn disconnect(self) {
        self.connection.abort();
        assert!(
            self.connection.await.is_err(),
            "the server had ended the connection"
        );
    }
}
