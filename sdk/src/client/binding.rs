//! Bindings behind a socket, in and out.

use std::sync::Arc;

use async_trait::async_trait;
use dapr_pluggable_protocol::components::v1 as proto;
use proto::input_binding_client::InputBindingClient;
use proto::output_binding_client::OutputBindingClient;
use tonic::transport::Channel;

use super::connection::{Instance, LARGEST_ANSWER};
use super::{Remote, stream};
use crate::binding::{InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use crate::component::Component;
use crate::delivery::Events;
use crate::error::Result;
use crate::guard::{InputKind, OutputKind};
use crate::metadata::Metadata;
use crate::wire::binding::reply;
use crate::wire::{Wire as _, init_metadata};

struct RemoteSource {
    instance: Instance,
}

#[async_trait]
impl Remote for InputKind {
    async fn init(instance: &Instance, properties: Metadata) -> Result<()> {
        let request = instance.request(proto::InputBindingInitRequest {
            metadata: init_metadata(properties),
        });
        instance.opened(input(instance).init(request).await)
    }

    async fn describe(instance: Instance) -> Result<Arc<dyn InputBinding>> {
        // The protocol has no features of input bindings.
        Ok(Arc::new(RemoteSource { instance }))
    }
}

fn input(instance: &Instance) -> InputBindingClient<Channel> {
    InputBindingClient::new(instance.channel()).max_decoding_message_size(LARGEST_ANSWER)
}

#[async_trait]
impl Component for RemoteSource {
    async fn ping(&self) -> Result<()> {
        let request = self.instance.request(proto::PingRequest {});
        self.instance
            .done(input(&self.instance).ping(request).await)
    }
}

#[async_trait]
impl InputBinding for RemoteSource {
    async fn read(&self, events: Events) -> Result<()> {
        let mut service = input(&self.instance);
        let (replies, frames) = stream::answers(None);
        let request = self.instance.request(frames);
        let opening = Box::pin(async move { service.read(request).await });
        stream::deliver(&self.instance, opening, replies, events, reply).await
    }
}

struct RemoteTarget {
    instance: Instance,
    operations: Vec<String>,
}

#[async_trait]
impl Remote for OutputKind {
    async fn init(instance: &Instance, properties: Metadata) -> Result<()> {
        let request = instance.request(proto::OutputBindingInitRequest {
            metadata: init_metadata(properties),
        });
        instance.opened(output(instance).init(request).await)
    }

    async fn describe(instance: Instance) -> Result<Arc<dyn OutputBinding>> {
        let request = instance.request(proto::ListOperationsRequest {});
        let answer = output(&instance).list_operations(request).await;
        let operations = answer
            .map_err(|status| instance.error(status))?
            .into_inner()
            .operations;
        Ok(Arc::new(RemoteTarget {
            instance,
            operations,
        }))
    }
}

fn output(instance: &Instance) -> OutputBindingClient<Channel> {
    OutputBindingClient::new(instance.channel()).max_decoding_message_size(LARGEST_ANSWER)
}

#[async_trait]
impl Component for RemoteTarget {
    async fn ping(&self) -> Result<()> {
        let request = self.instance.request(proto::PingRequest {});
        self.instance
            .done(output(&self.instance).ping(request).await)
    }
}

#[async_trait]
impl OutputBinding for RemoteTarget {
    fn operations(&self) -> Vec<String> {
        self.operations.clone()
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        let request = self.instance.request(request.into_wire());
        self.instance
            .answer(output(&self.instance).invoke(request).await)
    }
}
