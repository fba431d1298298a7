//! The bindings behind their services.

use dapr_pluggable_protocol::components::v1 as proto;
use proto::input_binding_server::{InputBinding as InputService, InputBindingServer};
use proto::output_binding_server::{OutputBinding as OutputService, OutputBindingServer};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::adapter::{Answer, Caller, Socket, reply};
use super::instances::Instances;
use super::streams::{Exchange, Outgoing};
use crate::binding::{InputBinding as _, InvokeRequest, OutputBinding as _};
use crate::blocks::Registration;
use crate::delivery::{self, Gate};
use crate::guard::{InputKind, OutputKind};
use crate::wire::binding::read_reply;

/// Adds the service of an input binding.
pub(super) fn serve_input(socket: &mut Socket<'_>, registration: &Registration<InputKind>) {
    let binding = InputBindingServer::from_arc(socket.instances(registration));
    socket.add::<InputKind>(binding.max_decoding_message_size(socket.max_message_size));
}

/// Adds the service of an output binding.
pub(super) fn serve_output(socket: &mut Socket<'_>, registration: &Registration<OutputKind>) {
    let binding = OutputBindingServer::from_arc(socket.instances(registration));
    socket.add::<OutputKind>(binding.max_decoding_message_size(socket.max_message_size));
}

#[async_trait]
impl InputService for Instances<InputKind> {
    type ReadStream = Outgoing<proto::ReadResponse>;

    async fn init(
        &self,
        request: Request<proto::InputBindingInitRequest>,
    ) -> Answer<proto::InputBindingInitResponse> {
        let (headers, extensions, message) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        self.open(caller, message.metadata).await
    }

    async fn read(
        &self,
        request: Request<Streaming<proto::ReadRequest>>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let found = self.answering(&request)?;
        let instance = Caller::of(&request)?.instance.to_owned();
        // Nobody pauses a reader.
        let (window, consumer) = delivery::window(found.options().window, &Gate::new());
        let exchange = Exchange {
            rpc: "Read",
            instance,
            incoming: request.into_inner(),
            read: read_reply,
            window: window.clone(),
            consumer,
        };
        let delivering = async move { found.read(window).await };
        Ok(Response::new(exchange.serve(delivering)))
    }

    async fn ping(&self, request: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        self.answer_ping(&request).await
    }
}

#[async_trait]
impl OutputService for Instances<OutputKind> {
    async fn init(
        &self,
        request: Request<proto::OutputBindingInitRequest>,
    ) -> Answer<proto::OutputBindingInitResponse> {
        let (headers, extensions, message) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        self.open(caller, message.metadata).await
    }

    async fn invoke(
        &self,
        request: Request<proto::InvokeRequest>,
    ) -> Answer<proto::InvokeResponse> {
        let (binding, request) = self.accept::<InvokeRequest>(request)?;
        reply("Invoke", binding.invoke(request).await)
    }

    async fn list_operations(
        &self,
        request: Request<proto::ListOperationsRequest>,
    ) -> Answer<proto::ListOperationsResponse> {
        let binding = self.answering(&request)?;
        Ok(Response::new(proto::ListOperationsResponse {
            operations: binding.operations(),
        }))
    }

    async fn ping(&self, request: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        self.answer_ping(&request).await
    }
}
