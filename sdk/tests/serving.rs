//! Servers inside a process that has its own runtime, and what a socket says of itself.

#![cfg(test)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Blocks, Bytes, Component, Result, Server, Serving, Stop, async_trait};
use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::eventually;
use hyper_util::rt::TokioIo;
use proto::state_store_client::StateStoreClient;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

#[derive(Default)]
struct Nothing;

#[async_trait]
impl StateStore for Nothing {
    async fn get(&self, _: GetRequest) -> Result<Option<Entry>> {
        Ok(None)
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }
}

impl Component for Nothing {}

fn server(folder: &TempDir, name: &str) -> Server {
    Server::new(name)
        .blocks(Blocks::new().state_store_from(Nothing::default))
        .sockets_folder(folder.path())
}

async fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connect = service_fn(move |_| {
        let stream = UnixStream::connect(socket.clone());
        async { stream.await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
        .unwrap()
}

#[tokio::test]
async fn health_is_serving_until_the_drain_and_then_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start([server(&folder, "a")]).await.unwrap();
    let mut client = HealthClient::new(connect(serving.sockets().next().unwrap()).await);
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = client.check(request("")).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let unknown = client
        .check(request("dapr.proto.components.v1.PubSub"))
        .await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);

    let mut watch = client.watch(request("")).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    // A watcher is no runtime: nothing waits for it, and its stream ends by itself.
    let (stopped, last) = tokio::join!(
        tokio::time::timeout(
            std::time::Duration::from_secs(4),
            serving.stop(Stop::Linger)
        ),
        watch.message()
    );
    stopped.unwrap();
    assert_eq!(last.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let socket = folder.path().join("a.sock");
    let server = tokio::spawn(server(&folder, "a").serve(async {
        stopped.await.unwrap();
    }));
    eventually("the socket", async || socket.try_exists().unwrap()).await;
    connect(&socket).await;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(!socket.try_exists().unwrap());
}

#[tokio::test]
async fn dropping_it_removes_the_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start([server(&folder, "a"), server(&folder, "b")])
        .await
        .unwrap();
    let twice = Serving::start([server(&folder, "b")]).await.unwrap_err();
    assert!(twice.to_string().contains("already served"), "{twice}");
    assert_eq!(serving.sockets().count(), 2);
    drop(serving);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn nothing_to_serve_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Server::new("a").sockets_folder(folder.path());
    let error = Serving::start([empty]).await.unwrap_err();
    assert_eq!(error.to_string(), "serve a: it has no building block");
}

#[cfg(feature = "program")]
#[tokio::test]
async fn run_refuses_inside_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let code = server(&folder, "a").run();
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::FAILURE)
    );
}

/// Keeps the last value.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<Bytes>>>);

#[async_trait]
impl StateStore for Last {
    async fn get(&self, _: GetRequest) -> Result<Option<Entry>> {
        Ok(None)
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        *self.0.lock().unwrap() = Some(request.value);
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }
}

impl Component for Last {}

#[tokio::test]
async fn a_value_that_is_kept_keeps_no_large_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let last = Last::default();
    let store = last.clone();
    let server = Server::new("last")
        .blocks(Blocks::new().state_store_from(move || store.clone()))
        .sockets_folder(folder.path());
    let serving = Serving::start([server]).await.unwrap();
    let mut client = StateStoreClient::new(connect(serving.sockets().next().unwrap()).await);
    let metadata = Some(proto::MetadataRequest::default());
    client.init(proto::InitRequest { metadata }).await.unwrap();
    for size in [1, 256, 1000, 5000, 100_000, 1 << 20] {
        let request = proto::SetRequest {
            key: "k".to_owned(),
            value: vec![7; size].into(),
            ..Default::default()
        };
        client.set(request).await.unwrap();
        let mut value = last.0.lock().unwrap().take();
        let mut capacity = 0;
        // The call itself may hold the buffer a little longer.
        eventually("nobody else has the buffer", async || {
            match value.take().unwrap().try_into_mut() {
                Ok(own) => capacity = own.capacity(),
                Err(shared) => value = Some(shared),
            }
            value.is_none()
        })
        .await;
        assert!(capacity <= 2 * size + 1024, "{size}: {capacity}");
    }
    drop(client);
    serving.stop(Stop::Drain).await;
}
