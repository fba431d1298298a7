//! Secret stores behind a socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use dapr_pluggable_protocol::components::v1 as proto;
use proto::secret_store_client::SecretStoreClient;
use tonic::transport::Channel;

use super::Remote;
use super::connection::{Instance, LARGEST_ANSWER};
use crate::component::Component;
use crate::error::Result;
use crate::guard::SecretKind;
use crate::metadata::Metadata;
use crate::secret::{GetSecretRequest, Secret, SecretClaims, SecretStore};
use crate::wire::{Wire as _, init_metadata};

struct RemoteSecretStore {
    instance: Instance,
    claims: SecretClaims,
}

#[async_trait]
impl Remote for SecretKind {
    async fn init(instance: &Instance, properties: Metadata) -> Result<()> {
        let request = instance.request(proto::SecretStoreInitRequest {
            metadata: init_metadata(properties),
        });
        instance.opened(service(instance).init(request).await)
    }

    async fn describe(instance: Instance) -> Result<Arc<dyn SecretStore>> {
        let request = instance.request(proto::FeaturesRequest {});
        let claims = instance.answer(service(&instance).features(request).await)?;
        Ok(Arc::new(RemoteSecretStore { instance, claims }))
    }
}

fn service(instance: &Instance) -> SecretStoreClient<Channel> {
    SecretStoreClient::new(instance.channel()).max_decoding_message_size(LARGEST_ANSWER)
}

#[async_trait]
impl Component for RemoteSecretStore {
    async fn ping(&self) -> Result<()> {
        let request = self.instance.request(proto::PingRequest {});
        let answer = service(&self.instance).ping(request).await;
        self.instance.done(answer)
    }
}

#[async_trait]
impl SecretStore for RemoteSecretStore {
    fn claims(&self) -> SecretClaims {
        self.claims.clone()
    }

    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        let request = self.instance.request(request.into_wire());
        self.instance
            .answer(service(&self.instance).get(request).await)
    }

    async fn bulk_get(&self, metadata: Metadata) -> Result<BTreeMap<String, Secret>> {
        let request = self.instance.request(proto::BulkGetSecretRequest {
            metadata: metadata.into_map(),
        });
        self.instance
            .answer(service(&self.instance).bulk_get(request).await)
    }
}
