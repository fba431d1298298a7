//! The server core over real sockets: a probe service whose handlers each test writes, tonic's own
//! client, and raw HTTP/2 where a client library would hide what is tested.

mod accept;
mod backlog;
mod calls;
mod cancel;
mod flow;
mod raw;
mod stop;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures::stream::BoxStream;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Dispatch, Drained, Limits, Listening, Observer, Offload, Workers, default_workers, sized,
};

/// No test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const UNARY: &str = "/test.Probe/Unary";
const STREAM: &str = "/test.Probe/Stream";

async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, test)
        .await
        .expect("the test took too long")
}

type Messages = BoxStream<'static, Result<Bytes, Status>>;
type UnaryHandler = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<Response<Bytes>, Status> + Send + Sync>;
type StreamHandler =
    Arc<dyn Fn(Request<Streaming<Bytes>>) -> BoxFuture<Response<Messages>, Status> + Send + Sync>;

/// A gRPC service with one unary and one bidirectional method, both made of closures. It is built
/// from the same pieces as what tonic generates.
#[derive(Clone)]
struct Probe {
    unary: UnaryHandler,
    stream: StreamHandler,
}

impl Probe {
    /// Echoes every message.
    fn echo() -> Self {
        Self {
            unary: Arc::new(|request| Box::pin(async move { Ok(answer(request.into_inner())) })),
            stream: Arc::new(|request| {
                Box::pin(async move { Ok(Response::new(Box::pin(request.into_inner()) as _)) })
            }),
        }
    }

    fn unary<F>(mut self, handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        self.unary = Arc::new(move |request| {
            let reply = handler(request);
            Box::pin(async move { Ok(answer(reply.await?)) })
        });
        self
    }

    fn stream<F>(mut self, handler: impl Fn(Streaming<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Messages, Status>> + Send + 'static,
    {
        self.stream = Arc::new(move |request| {
            let reply = handler(request.into_inner());
            Box::pin(async move { Ok(Response::new(reply.await?)) })
        });
        self
    }
}

fn answer(message: Bytes) -> Response<Bytes> {
    let bytes = message.len();
    sized(Response::new(message), bytes)
}

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

impl<B> tower_service::Service<http::Request<B>> for Probe
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { unary, stream } = self.clone();
        let mut grpc = tonic::server::Grpc::new(Raw)
            .apply_max_message_size_config(Some(16 << 20), Some(usize::MAX));
        Box::pin(async move {
            Ok(match request.uri().path() {
                UNARY => grpc.unary(tower::service_fn(|r| unary(r)), request).await,
                STREAM => {
                    grpc.streaming(tower::service_fn(|r| stream(r)), request)
                        .await
                }
                other => Status::unimplemented(format!("no method {other}")).into_http(),
            })
        })
    }
}

/// A codec whose messages are bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A server in a folder of its own.
struct Rig {
    folder: TempDir,
    workers: Workers,
    listening: Listening,
}

impl Rig {
    fn start(probe: Probe) -> Self {
        Self::with(probe, Offload::No, 1, Limits::default(), Arc::new(()))
    }

    /// No `workers` stands for the default number.
    fn with(
        probe: Probe,
        offload: Offload,
        workers: usize,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("probe.sock")).unwrap();
        let mut dispatch = Dispatch::default();
        dispatch.add(probe, offload);
        let workers = NonZeroUsize::new(workers).unwrap_or_else(default_workers);
        let workers = Workers::start(workers).unwrap();
        let listening = workers
            .listen(listener, dispatch, limits, observer)
            .unwrap();
        Self {
            folder,
            workers,
            listening,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("probe.sock")
    }

    /// A client with a connection of its own.
    async fn client(&self) -> Client {
        Self::client_of(self.folder.path()).await
    }

    async fn client_of(folder: &Path) -> Client {
        let socket = folder.join("probe.sock");
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let channel = endpoint.connect_with_connector(connect).await.unwrap();
        Client(tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX))
    }

    /// Every phase of a stop; nothing may be left over.
    async fn stop(self) {
        let drained = self.listening.drain(PATIENCE).await;
        assert_eq!(drained, Drained::default());
        self.workers.stop(PATIENCE).await;
    }
}

#[derive(Clone)]
struct Client(tonic::client::Grpc<Channel>);

impl Client {
    async fn unary(&self, message: impl Into<Bytes>) -> Result<Bytes, Status> {
        self.call(UNARY, Request::new(message.into())).await
    }

    async fn call(&self, method: &'static str, request: Request<Bytes>) -> Result<Bytes, Status> {
        let mut grpc = self.0.clone();
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let reply = grpc
            .unary(request, PathAndQuery::from_static(method), Raw)
            .await?;
        Ok(reply.into_inner())
    }

    async fn stream(
        &self,
        requests: impl futures::Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let request = Request::new(requests);
        let reply = grpc
            .streaming(request, PathAndQuery::from_static(STREAM), Raw)
            .await?;
        Ok(reply.into_inner())
    }
}
