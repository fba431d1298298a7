//! The broker under guard.

use async_trait::async_trait;
use metrics::Gauge;

use super::{Guard, Kind};
use crate::component::Block;
use crate::delivery::Deliveries;
use crate::error::{Error, Result};
use crate::observe::{Method, Scope};
use crate::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Pausable, PubSub, PubSubClaims, Publication,
    Subscription,
};

/// The methods of a broker.
pub(crate) struct Methods {
    publish: Method,
    subscribe: Method,
    bulk_publish: Method,
    pause: Method,
    resume: Method,
    in_flight: Gauge,
}

/// Brokers.
pub(crate) enum PubSubKind {}

impl Kind for PubSubKind {
    const BLOCK: Block = Block::PubSub;
    type Value = dyn PubSub;
    type Methods = Methods;

    fn methods(scope: &Scope) -> Methods {
        Methods {
            publish: scope.method("publish"),
            subscribe: scope.method("subscribe"),
            bulk_publish: scope.method("bulk_publish"),
            pause: scope.method("pause"),
            resume: scope.method("resume"),
            in_flight: scope.in_flight(),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl PubSub for Guard<PubSubKind> {
    fn claims(&self) -> PubSubClaims {
        self.ask("claims", PubSub::claims).unwrap_or_default()
    }

    async fn publish(&self, publication: Publication) -> Result<()> {
        self.call(&self.methods.publish, self.value.publish(publication))
            .await
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        deliveries.count_in(&self.methods.in_flight);
        let call = self.value.subscribe(subscription, deliveries.clone());
        self.subscription(&self.methods.subscribe, deliveries, call)
            .await
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        self.ask("bulk_publisher", PubSub::bulk_publisher)??;
        Some(self)
    }

    fn pausable(&self) -> Option<&dyn Pausable> {
        self.ask("pausable", PubSub::pausable)??;
        Some(self)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl BulkPublisher for Guard<PubSubKind> {
    async fn bulk_publish(&self, publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        let call = async {
            let broker = self.value.bulk_publisher();
            let broker = broker.ok_or_else(|| Error::unsupported("bulk publish"))?;
            broker.bulk_publish(publication).await
        };
        self.call(&self.methods.bulk_publish, call).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Pausable for Guard<PubSubKind> {
    async fn pause(&self) -> Result<()> {
        let call = async { self.inner_pausable("pause")?.pause().await };
        self.call(&self.methods.pause, call).await
    }

    async fn resume(&self) -> Result<()> {
        let call = async { self.inner_pausable("resume")?.resume().await };
        self.call(&self.methods.resume, call).await
    }
}

impl Guard<PubSubKind> {
    fn inner_pausable(&self, what: &str) -> Result<&dyn Pausable> {
        self.value
            .pausable()
            .ok_or_else(|| Error::unsupported(what))
    }
}
