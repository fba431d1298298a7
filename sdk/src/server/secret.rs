//! The secret store behind its service.

use dapr_pluggable_protocol::components::v1 as proto;
use proto::secret_store_server::{SecretStore as Service, SecretStoreServer};
use tonic::{Request, async_trait};

use super::adapter::{Answer, Caller, Socket, reply};
use super::instances::Instances;
use crate::blocks::Registration;
use crate::guard::SecretKind;
use crate::metadata::Metadata;
use crate::secret::{GetSecretRequest, SecretStore};

/// Adds the service.
pub(super) fn serve(socket: &mut Socket<'_>, registration: &Registration<SecretKind>) {
    let store = SecretStoreServer::from_arc(socket.instances(registration));
    socket.add::<SecretKind>(store.max_decoding_message_size(socket.max_message_size));
}

#[async_trait]
impl Service for Instances<SecretKind> {
    async fn init(
        &self,
        request: Request<proto::SecretStoreInitRequest>,
    ) -> Answer<proto::SecretStoreInitResponse> {
        let (headers, extensions, message) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        self.open(caller, message.metadata).await
    }

    async fn features(
        &self,
        request: Request<proto::FeaturesRequest>,
    ) -> Answer<proto::FeaturesResponse> {
        let store = self.answering(&request)?;
        reply("Features", Ok(store.claims()))
    }

    async fn ping(&self, request: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        self.answer_ping(&request).await
    }

    async fn get(
        &self,
        request: Request<proto::GetSecretRequest>,
    ) -> Answer<proto::GetSecretResponse> {
        let (store, request) = self.accept::<GetSecretRequest>(request)?;
        reply("Get", store.get(request).await)
    }

    async fn bulk_get(
        &self,
        request: Request<proto::BulkGetSecretRequest>,
    ) -> Answer<proto::BulkGetSecretResponse> {
        let store = self.answering(&request)?;
        let metadata = Metadata::from(request.into_inner().metadata);
        reply("BulkGet", store.bulk_get(metadata).await)
    }
}
