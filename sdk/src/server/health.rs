//! `grpc.health.v1`: serving from the start until the drain begins, whatever backends do. A backend that is away is no
//! reason to restart a component, which would lose its Init.

use std::collections::BTreeSet;

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::core::{Dispatch, Offload};

/// What the health service says of a server.
#[derive(Debug)]
pub(super) struct Health {
    reporter: HealthReporter,
    services: BTreeSet<&'static str>,
}

impl Health {
    /// Adds the health service, which says of each of these services, and of the whole, that it is served.
    pub(super) async fn serve(dispatch: &mut Dispatch, services: BTreeSet<&'static str>) -> Self {
        let reporter = HealthReporter::new();
        for service in &services {
            reporter
                .set_service_status(service, ServingStatus::Serving)
                .await;
        }
        let service = HealthService::from_health_reporter(reporter.clone());
        dispatch.add(HealthServer::new(service), Offload::No);
        Self { reporter, services }
    }

    /// Says that nothing is served any more, and ends the streams of those who watch: a drain waits for streams.
    pub(super) async fn end(mut self) {
        for service in self.services.into_iter().chain([""]) {
            self.reporter
                .set_service_status(service, ServingStatus::NotServing)
                .await;
            self.reporter.clear_service_status(service).await;
        }
    }
}
