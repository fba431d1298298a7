//! A server with acting components, and a connection to it.

use std::path::Path;

use dapr_pluggable::{Server, Serving, Stop};
use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::within;
use hyper_util::rt::TokioIo;
use proto::input_binding_client::InputBindingClient;
use proto::output_binding_client::OutputBindingClient;
use proto::pub_sub_client::PubSubClient;
use proto::secret_store_client::SecretStoreClient;
use proto::state_store_client::StateStoreClient;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tower::service_fn;

use super::acting::{Notes, blocks};

/// Runs a test against a server of its own.
pub(crate) async fn with_rig<F: Future<Output = ()>>(test: impl FnOnce(Rig) -> F) {
    let notes = Notes::new();
    let rig = Rig::start(notes.clone(), |server| server.blocks(blocks(&notes))).await;
    within("the test", test(rig)).await;
}

pub(crate) struct Rig {
    pub(crate) notes: Notes,
    pub(crate) channel: Channel,
    serving: Serving,
    _folder: TempDir,
}

impl Rig {
    pub(crate) async fn start(notes: Notes, adapt: impl FnOnce(Server) -> Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new("acting").sockets_folder(folder.path());
        let serving = Serving::start([adapt(server)]).await.unwrap();
        let channel = connect(serving.sockets().next().unwrap()).await;
        Self {
            notes,
            channel,
            serving,
            _folder: folder,
        }
    }

    /// Another connection.
    pub(crate) async fn connect(&self) -> Channel {
        connect(self.serving.sockets().next().unwrap()).await
    }

    /// The server without its connection, to be stopped.
    pub(crate) async fn stop(self, stop: Stop) {
        let Self {
            channel, serving, ..
        } = self;
        drop(channel);
        within("the stop", serving.stop(stop)).await;
    }

    pub(crate) fn state(&self) -> StateStoreClient<Channel> {
        StateStoreClient::new(self.channel.clone()).max_decoding_message_size(32 << 20)
    }

    pub(crate) fn pubsub(&self) -> PubSubClient<Channel> {
        PubSubClient::new(self.channel.clone())
    }

    pub(crate) fn input(&self) -> InputBindingClient<Channel> {
        InputBindingClient::new(self.channel.clone())
    }

    pub(crate) fn output(&self) -> OutputBindingClient<Channel> {
        OutputBindingClient::new(self.channel.clone())
    }

    pub(crate) fn secrets(&self) -> SecretStoreClient<Channel> {
        SecretStoreClient::new(self.channel.clone())
    }

    pub(crate) async fn open_state(&self, instance: &str, properties: &[(&str, &str)]) {
        self.init_state(instance, properties).await.unwrap();
    }

    pub(crate) async fn init_state(
        &self,
        instance: &str,
        properties: &[(&str, &str)],
    ) -> Result<(), Status> {
        let request = proto::InitRequest {
            metadata: metadata(properties),
        };
        let answer = self.state().init(to(instance, request)).await;
        answer.map(|_| ())
    }

    pub(crate) async fn open_pubsub(&self, instance: &str, properties: &[(&str, &str)]) {
        let request = proto::PubSubInitRequest {
            metadata: metadata(properties),
        };
        self.pubsub().init(to(instance, request)).await.unwrap();
    }

    pub(crate) async fn open_input(&self, instance: &str, properties: &[(&str, &str)]) {
        let request = proto::InputBindingInitRequest {
            metadata: metadata(properties),
        };
        self.input().init(to(instance, request)).await.unwrap();
    }

    pub(crate) async fn open_output(&self, instance: &str) {
        let request = proto::OutputBindingInitRequest {
            metadata: metadata(&[]),
        };
        self.output().init(to(instance, request)).await.unwrap();
    }

    pub(crate) async fn open_secrets(&self, instance: &str) {
        let request = proto::SecretStoreInitRequest {
            metadata: metadata(&[]),
        };
        self.secrets().init(to(instance, request)).await.unwrap();
    }
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

/// The metadata of an Init.
pub(crate) fn metadata(properties: &[(&str, &str)]) -> Option<proto::MetadataRequest> {
    let properties = properties.iter();
    let properties = properties.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Some(proto::MetadataRequest {
        properties: properties.collect(),
    })
}

/// A request for an instance.
pub(crate) fn to<M>(instance: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    let headers = request.metadata_mut();
    headers.insert("x-component-instance", instance.parse().unwrap());
    request
}

/// Whether a call was refused with a code, and a text that has these parts.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    answer: Result<Response<T>, Status>,
    code: Code,
    naming: &[&str],
) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    for part in naming {
        assert!(
            status.message().contains(part),
            "{part:?} is not in {status:?}"
        );
    }
}
