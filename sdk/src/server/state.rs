//! The state store behind its four services.

use std::sync::Arc;

use dapr_pluggable_protocol::components::v1 as proto;
use proto::queriable_state_store_server::{QueriableStateStore, QueriableStateStoreServer};
use proto::state_store_server::{StateStore as Service, StateStoreServer};
use proto::transactional_state_store_server::{
    TransactionalStateStore as TransactionalService, TransactionalStateStoreServer,
};
use proto::transactional_store_multi_max_size_server::{
    TransactionalStoreMultiMaxSize, TransactionalStoreMultiMaxSizeServer,
};
use tonic::{Request, async_trait};

use super::adapter::{Answer, Caller, Socket, done, refuse, reply};
use super::instances::{Found, Instances};
use crate::blocks::Registration;
use crate::error::{Error, Result};
use crate::guard::StateKind;
use crate::metadata::Metadata;
use crate::state::{
    DeleteRequest, GetRequest, Operation, Parallelism, Query, SetRequest, StateStore,
    TransactionalStateStore, require_key,
};
use crate::wire::Wire as _;
use crate::wire::state::Features;

/// Adds the services. The optional ones are always there: an instance without them says so.
pub(super) fn serve(socket: &mut Socket<'_>, registration: &Registration<StateKind>) {
    let instances = socket.instances(registration);
    let limit = socket.max_message_size;
    let store = StateStoreServer::from_arc(Arc::clone(&instances));
    socket.add::<StateKind>(store.max_decoding_message_size(limit));
    let transactional = TransactionalStateStoreServer::from_arc(Arc::clone(&instances));
    socket.add::<StateKind>(transactional.max_decoding_message_size(limit));
    let sized = TransactionalStoreMultiMaxSizeServer::from_arc(Arc::clone(&instances));
    socket.add::<StateKind>(sized.max_decoding_message_size(limit));
    let queryable = QueriableStateStoreServer::from_arc(instances);
    socket.add::<StateKind>(queryable.max_decoding_message_size(limit));
}

#[async_trait]
impl Service for Instances<StateKind> {
    async fn init(&self, request: Request<proto::InitRequest>) -> Answer<proto::InitResponse> {
        let (headers, extensions, message) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        self.open(caller, message.metadata).await
    }

    async fn features(
        &self,
        request: Request<proto::FeaturesRequest>,
    ) -> Answer<proto::FeaturesResponse> {
        let store = self.answering(&request)?;
        let features = Features {
            claims: store.claims(),
            transactional: store.transactional().is_some(),
            queryable: store.queryable().is_some(),
        };
        reply("Features", Ok(features))
    }

    async fn ping(&self, request: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        self.answer_ping(&request).await
    }

    async fn get(&self, request: Request<proto::GetRequest>) -> Answer<proto::GetResponse> {
        let (store, request) = self.accept::<GetRequest>(request)?;
        require_key(&request.key, "get").map_err(refuse)?;
        reply("Get", store.get(request).await)
    }

    async fn set(&self, request: Request<proto::SetRequest>) -> Answer<proto::SetResponse> {
        let (store, request) = self.accept::<SetRequest>(request)?;
        require_key(&request.key, "set").map_err(refuse)?;
        done(store.set(request).await)
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Answer<proto::DeleteResponse> {
        let (store, request) = self.accept::<DeleteRequest>(request)?;
        require_key(&request.key, "delete").map_err(refuse)?;
        done(store.delete(request).await)
    }

    async fn bulk_get(
        &self,
        request: Request<proto::BulkGetRequest>,
    ) -> Answer<proto::BulkGetResponse> {
        let (store, (requests, parallelism)) =
            self.accept::<(Vec<GetRequest>, Parallelism)>(request)?;
        require_keys(requests.iter().map(|request| (&*request.key, "get")))?;
        reply("BulkGet", store.bulk_get(requests, parallelism).await)
    }

    async fn bulk_set(
        &self,
        request: Request<proto::BulkSetRequest>,
    ) -> Answer<proto::BulkSetResponse> {
        let (store, (requests, parallelism)) =
            self.accept::<(Vec<SetRequest>, Parallelism)>(request)?;
        require_keys(requests.iter().map(|request| (&*request.key, "set")))?;
        done(store.bulk_set(requests, parallelism).await)
    }

    async fn bulk_delete(
        &self,
        request: Request<proto::BulkDeleteRequest>,
    ) -> Answer<proto::BulkDeleteResponse> {
        let (store, (requests, parallelism)) =
            self.accept::<(Vec<DeleteRequest>, Parallelism)>(request)?;
        require_keys(requests.iter().map(|request| (&*request.key, "delete")))?;
        done(store.bulk_delete(requests, parallelism).await)
    }
}

#[async_trait]
impl TransactionalService for Instances<StateKind> {
    async fn transact(
        &self,
        request: Request<proto::TransactionalStateRequest>,
    ) -> Answer<proto::TransactionalStateResponse> {
        let (store, (operations, metadata)) = self.accept::<(Vec<Operation>, Metadata)>(request)?;
        let store = transactional(&store, "transact").map_err(refuse)?;
        require_keys(operations.iter().map(|operation| match operation {
            Operation::Set(request) => (&*request.key, "set"),
            Operation::Delete(request) => (&*request.key, "delete"),
        }))?;
        done(store.transact(operations, metadata).await)
    }
}

#[async_trait]
impl TransactionalStoreMultiMaxSize for Instances<StateKind> {
    async fn multi_max_size(
        &self,
        request: Request<proto::MultiMaxSizeRequest>,
    ) -> Answer<proto::MultiMaxSizeResponse> {
        let store = self.answering(&request)?;
        let store = transactional(&store, "multi max size").map_err(refuse)?;
        reply("MultiMaxSize", store.max_operations().await)
    }
}

#[async_trait]
impl QueriableStateStore for Instances<StateKind> {
    async fn query(&self, request: Request<proto::QueryRequest>) -> Answer<proto::QueryResponse> {
        let store = self.answering(&request)?;
        let queryable = store.queryable();
        let queryable = queryable.ok_or_else(|| refuse(Error::unsupported("query")))?;
        let query = Query::from_wire(request.into_inner()).map_err(refuse)?;
        reply("Query", queryable.query(query).await)
    }
}

fn transactional<'a>(
    store: &'a Found<StateKind>,
    what: &str,
) -> Result<&'a dyn TransactionalStateStore> {
    store
        .transactional()
        .ok_or_else(|| Error::unsupported(what))
}

/// Refuses the whole request for one empty key, and says which.
fn require_keys<'a>(
    keys: impl Iterator<Item = (&'a str, &'static str)>,
) -> Result<(), tonic::Status> {
    for (index, (key, operation)) in keys.enumerate() {
        require_key(key, operation)
            .map_err(|error| refuse(error.context(format_args!("item {}", index + 1))))?;
    }
    Ok(())
}
