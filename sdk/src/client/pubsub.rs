//! Brokers behind a socket.

use std::sync::Arc;

use async_trait::async_trait;
use dapr_pluggable_protocol::components::v1 as proto;
use proto::pub_sub_client::PubSubClient;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use super::connection::{Instance, LARGEST_ANSWER};
use super::{Remote, stream};
use crate::component::Component;
use crate::delivery::Deliveries;
use crate::error::Result;
use crate::guard::PubSubKind;
use crate::metadata::Metadata;
use crate::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Pausable, PubSub, PubSubClaims, Publication,
    Subscription,
};
use crate::wire::pubsub::{Features, answer};
use crate::wire::{PARTIAL_RESULTS_HEADER, Wire as _, init_metadata};

struct RemoteBroker {
    instance: Instance,
    features: Features,
}

#[async_trait]
impl Remote for PubSubKind {
    async fn init(instance: &Instance, properties: Metadata) -> Result<()> {
        let request = instance.request(proto::PubSubInitRequest {
            metadata: init_metadata(properties),
        });
        instance.opened(service(instance).init(request).await)
    }

    async fn describe(instance: Instance) -> Result<Arc<dyn PubSub>> {
        let request = instance.request(proto::FeaturesRequest {});
        let features = instance.answer(service(&instance).features(request).await)?;
        Ok(Arc::new(RemoteBroker { instance, features }))
    }
}

fn service(instance: &Instance) -> PubSubClient<Channel> {
    PubSubClient::new(instance.channel()).max_decoding_message_size(LARGEST_ANSWER)
}

#[async_trait]
impl Component for RemoteBroker {
    async fn ping(&self) -> Result<()> {
        let request = self.instance.request(proto::PingRequest {});
        let answer = service(&self.instance).ping(request).await;
        self.instance.done(answer)
    }
}

#[async_trait]
impl PubSub for RemoteBroker {
    fn claims(&self) -> PubSubClaims {
        self.features.claims.clone()
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        let request = self.instance.request(publication.into_wire());
        self.instance
            .done(service(&self.instance).publish(request).await)
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        let mut service = service(&self.instance);
        let (answers, frames) = stream::answers(Some(subscription.into_wire()));
        let request = self.instance.request(frames);
        let opening = Box::pin(async move { service.pull_messages(request).await });
        stream::deliver(&self.instance, opening, answers, deliveries, answer).await
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        self.features
            .bulk_publisher
            .then_some(self as &dyn BulkPublisher)
    }

    fn pausable(&self) -> Option<&dyn Pausable> {
        Some(self)
    }
}

#[async_trait]
impl BulkPublisher for RemoteBroker {
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        let mut request = self.instance.request(publication.into_wire());
        request
            .metadata_mut()
            .insert(PARTIAL_RESULTS_HEADER, MetadataValue::from_static("true"));
        self.instance
            .answer(service(&self.instance).bulk_publish(request).await)
    }
}

#[async_trait]
impl Pausable for RemoteBroker {
    async fn pause(&self) -> Result<()> {
        let request = self.instance.request(proto::PauseRequest {});
        self.instance
            .done(service(&self.instance).pause(request).await)
    }

    async fn resume(&self) -> Result<()> {
        let request = self.instance.request(proto::ResumeRequest {});
        self.instance
            .done(service(&self.instance).resume(request).await)
    }
}
