//! A peer of another make: a plain gRPC server with a state store and a broker, which does what it is told to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use dapr_pluggable_protocol::COMPONENTS_DESCRIPTOR_SET;
use dapr_pluggable_protocol::components::v1::pub_sub_server::{PubSub, PubSubServer};
use dapr_pluggable_protocol::components::v1::state_store_server::{StateStore, StateStoreServer};
use dapr_pluggable_protocol::components::v1::*;
use dapr_pluggable_testbed::{eventually, socket_folder, within};
use futures::future::pending;
use futures::{Stream, StreamExt as _, stream};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

/// A server in a runtime of its own: dropped, it breaks its connections as a killed process does.
pub(super) struct Foreign {
    pub(super) acting: Acting,
    socket: PathBuf,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

/// What a peer does, and what it has seen.
#[derive(Clone)]
pub(super) struct Acting {
    /// Methods that answer an error.
    pub(super) errors: HashMap<&'static str, Code>,
    pub(super) features: Vec<String>,
    /// How many messages a subscription gets.
    pub(super) messages: usize,
    /// Whether reflection is there.
    pub(super) reflection: bool,
    calls: Arc<Mutex<Vec<String>>>,
    acks: mpsc::Sender<String>,
}

/// The frames after the first that came on pull streams: the message, and whether it was accepted; `end` at their end.
pub(super) type Acks = mpsc::Receiver<String>;

impl Acting {
    pub(super) fn new() -> (Self, Acks) {
        let (acks, received) = mpsc::channel(4096);
        let acting = Self {
            errors: HashMap::new(),
            features: Vec::new(),
            messages: 1,
            reflection: true,
            calls: Arc::default(),
            acks,
        };
        (acting, received)
    }

    /// The methods that were called, each with the instance that was named.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) async fn was_called(&self, call: &str) {
        eventually(call, async || self.calls().iter().any(|seen| seen == call)).await;
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn act<Q, A: Default>(
        &self,
        method: &'static str,
        request: &Request<Q>,
    ) -> Result<Response<A>, Status> {
        let instance = request.metadata().get("x-component-instance");
        let instance = match instance {
            Some(header) => String::from_utf8_lossy(header.as_bytes()),
            None => "without header".into(),
        };
        self.note(format!("{method} {instance}"));
        match self.errors.get(method) {
            Some(code) => Err(Status::new(*code, format!("{method} is odd"))),
            None => Ok(Response::new(A::default())),
        }
    }
}

impl Foreign {
    pub(super) async fn start(acting: Acting) -> Self {
        let folder = socket_folder();
        let socket = folder.path().join("foreign.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(serve(acting.clone(), listener));
        Self {
            acting,
            socket,
            runtime: Some(runtime),
            _folder: folder,
        }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(acting: Acting, listener: UnixListener) {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(COMPONENTS_DESCRIPTOR_SET)
        .with_service_name("dapr.proto.components.v1.StateStore")
        .with_service_name("dapr.proto.components.v1.PubSub")
        .build_v1alpha()
        .unwrap();
    tonic::transport::Server::builder()
        .add_optional_service(acting.reflection.then_some(reflection))
        .add_service(StateStoreServer::new(acting.clone()))
        .add_service(PubSubServer::new(acting))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await
        .unwrap();
}

/// Notes that a call ended before its answer.
struct Unanswered(Acting);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.note("a call was dropped".to_owned());
    }
}

#[async_trait]
impl StateStore for Acting {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let answer = self.act("Init", &request);
        let properties = request.into_inner().metadata.unwrap().properties;
        let mut properties: Vec<_> = properties.into_iter().collect();
        properties.sort();
        self.note(format!("{properties:?}"));
        answer
    }

    async fn features(
        &self,
        request: Request<FeaturesRequest>,
    ) -> Result<Response<FeaturesResponse>, Status> {
        self.act::<_, ()>("Features", &request)?;
        Ok(Response::new(FeaturesResponse {
            features: self.features.clone(),
        }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let answer = self.act("Get", &request);
        match request.into_inner().key.as_str() {
            "never" => {
                let _unanswered = Unanswered(self.clone());
                pending().await
            }
            "large" => Ok(Response::new(GetResponse {
                data: vec![7; 20 << 20].into(),
                ..Default::default()
            })),
            _ => answer,
        }
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        self.act("Set", &request)
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        self.act("Delete", &request)
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        self.act("Ping", &request)
    }

    /// Answers in the wrong order, and not for every key.
    async fn bulk_get(
        &self,
        request: Request<BulkGetRequest>,
    ) -> Result<Response<BulkGetResponse>, Status> {
        self.act::<_, ()>("BulkGet", &request)?;
        let asked = request.into_inner().items;
        let answered = asked.into_iter().filter(|item| item.key != "left out");
        let mut items: Vec<_> = answered
            .map(|item| BulkStateItem {
                data: item.key.clone().into(),
                key: item.key,
                ..Default::default()
            })
            .collect();
        items.reverse();
        Ok(Response::new(BulkGetResponse { items }))
    }

    async fn bulk_set(
        &self,
        request: Request<BulkSetRequest>,
    ) -> Result<Response<BulkSetResponse>, Status> {
        self.act("BulkSet", &request)
    }

    async fn bulk_delete(
        &self,
        request: Request<BulkDeleteRequest>,
    ) -> Result<Response<BulkDeleteResponse>, Status> {
        self.act("BulkDelete", &request)
    }
}

#[async_trait]
impl PubSub for Acting {
    type PullMessagesStream =
        Pin<Box<dyn Stream<Item = Result<PullMessagesResponse, Status>> + Send>>;

    async fn init(
        &self,
        request: Request<PubSubInitRequest>,
    ) -> Result<Response<PubSubInitResponse>, Status> {
        self.act("Init", &request)
    }

    async fn features(
        &self,
        request: Request<FeaturesRequest>,
    ) -> Result<Response<FeaturesResponse>, Status> {
        StateStore::features(self, request).await
    }

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        self.act("Publish", &request)
    }

    async fn bulk_publish(
        &self,
        request: Request<BulkPublishRequest>,
    ) -> Result<Response<BulkPublishResponse>, Status> {
        self.act("BulkPublish", &request)
    }

    /// Sends its messages at once and notes the answers. The topic says how the stream ends.
    async fn pull_messages(
        &self,
        request: Request<Streaming<PullMessagesRequest>>,
    ) -> Result<Response<Self::PullMessagesStream>, Status> {
        self.act::<_, ()>("PullMessages", &request)?;
        let mut frames = request.into_inner();
        let first = frames.message().await?.unwrap();
        let topic = first.topic.unwrap().name;
        let messages = stream::iter(0..self.messages).map(|number| {
            Ok(PullMessagesResponse {
                data: format!("message {number}").into(),
                topic_name: "orders".to_owned(),
                id: format!("id {number}"),
                ..Default::default()
            })
        });
        let (acks, stays_deaf) = (self.acks.clone(), topic == "deaf");
        let answers = stream::once(async move {
            while let Ok(Some(frame)) = frames.message().await {
                let accepted = frame.ack_error.is_none();
                let _ = acks.try_send(format!("{} {accepted}", frame.ack_message_id));
            }
            let _ = acks.try_send("end".to_owned());
            if stays_deaf {
                pending::<()>().await;
            }
        })
        .filter_map(async |()| None);
        let end = match topic.as_str() {
            "ends" => return Ok(Response::new(messages.boxed())),
            "fails" => Status::resource_exhausted("no more"),
            "silent" => pending().await,
            _ => return Ok(Response::new(messages.chain(answers).boxed())),
        };
        Ok(Response::new(
            messages.chain(stream::iter([Err(end)])).boxed(),
        ))
    }

    async fn pause(
        &self,
        request: Request<PauseRequest>,
    ) -> Result<Response<PauseResponse>, Status> {
        self.act("Pause", &request)
    }

    async fn resume(
        &self,
        request: Request<ResumeRequest>,
    ) -> Result<Response<ResumeResponse>, Status> {
        self.act("Resume", &request)
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        self.act("Ping", &request)
    }
}

/// The next of the acks.
pub(super) async fn next(acks: &mut Acks) -> String {
    within("an answer", acks.recv()).await.unwrap()
}
