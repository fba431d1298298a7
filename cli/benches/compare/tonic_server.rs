//! What most people would write: tonic's own server on tokio's default runtime, with a map behind one lock.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use dapr_pluggable_protocol::components::v1 as proto;
use proto::state_store_server::{StateStore, StateStoreServer};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, async_trait};

const LARGEST: usize = 16 << 20;

/// Serves until the process ends.
pub(crate) async fn serve(socket: &Path) -> Result<()> {
    let listener = UnixListener::bind(socket).context("bind the socket")?;
    let store = StateStoreServer::new(Store::default()).max_decoding_message_size(LARGEST);
    tonic::transport::Server::builder()
        .add_service(store)
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await
        .context("serve")
}

#[derive(Default)]
struct Store {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    rows: HashMap<String, (Bytes, u64)>,
    version: u64,
}

impl Store {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer<M> = Result<Response<M>, Status>;

#[async_trait]
impl StateStore for Store {
    async fn init(&self, _: Request<proto::InitRequest>) -> Answer<proto::InitResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn features(
        &self,
        _: Request<proto::FeaturesRequest>,
    ) -> Answer<proto::FeaturesResponse> {
        Ok(Response::new(proto::FeaturesResponse {
            features: vec!["ETAG".to_owned()],
        }))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Answer<proto::DeleteResponse> {
        self.table().rows.remove(&request.into_inner().key);
        Ok(Response::new(Default::default()))
    }

    async fn get(&self, request: Request<proto::GetRequest>) -> Answer<proto::GetResponse> {
        let table = self.table();
        let row = table.rows.get(&request.into_inner().key);
        let answer = row.map(|(value, version)| proto::GetResponse {
            data: value.clone(),
            etag: Some(proto::Etag {
                value: version.to_string(),
            }),
            ..proto::GetResponse::default()
        });
        Ok(Response::new(answer.unwrap_or_default()))
    }

    async fn set(&self, request: Request<proto::SetRequest>) -> Answer<proto::SetResponse> {
        let request = request.into_inner();
        let mut table = self.table();
        table.version += 1;
        let row = (request.value, table.version);
        table.rows.insert(request.key, row);
        Ok(Response::new(Default::default()))
    }

    async fn ping(&self, _: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn bulk_delete(
        &self,
        _: Request<proto::BulkDeleteRequest>,
    ) -> Answer<proto::BulkDeleteResponse> {
        Err(not_measured())
    }

    async fn bulk_get(&self, _: Request<proto::BulkGetRequest>) -> Answer<proto::BulkGetResponse> {
        Err(not_measured())
    }

    async fn bulk_set(&self, _: Request<proto::BulkSetRequest>) -> Answer<proto::BulkSetResponse> {
        Err(not_measured())
    }
}

fn not_measured() -> Status {
    Status::unimplemented("bulk calls are not measured")
}
