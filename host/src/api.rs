//! Dapr's HTTP API for applications: state, health, metadata, shutdown.
//!
//! | method | path | module |
//! |---|---|---|
//! | GET, DELETE | `/v1.0/state/{store}/{key}` | `state` |
//! | POST, PUT | `/v1.0/state/{store}` | `state` |
//! | POST, PUT | `/v1.0/state/{store}/bulk` | `state` |
//! | POST, PUT | `/v1.0/state/{store}/transaction` | `state` |
//! | POST, PUT | `/v1.0-alpha1/state/{store}/query` | `state` |
//! | GET | `/v1.0/healthz`, `/v1.0/healthz/outbound` | `health` |
//! | GET | `/v1.0/metadata` | `metadata` |
//! | PUT | `/v1.0/metadata/{key}` | `metadata` |
//! | POST | `/v1.0/shutdown` | `router` |
//!
//! Statuses, error codes and texts are Dapr's. Where Dapr loses something, this host does not:
//!
//! - A value is stored with the text that it has in the request. Dapr writes it anew, with other numbers, order and
//!   escapes.
//! - A stored value that is not JSON cannot stand in the answer of a bulk get or a query. Its item gets an `error` that
//!   says so, where Dapr leaves the whole answer empty. It is no base64 string, which nobody could tell from a value that
//!   is one. A single get returns the bytes.
//! - A key in a path that is not UTF-8 is a bad request (400), where Dapr answers 500.
//! - What Dapr has and this host does not (actors, workflows, …) is 501 `ERR_API_UNIMPLEMENTED`.

mod answer;
mod call;
mod component_error;
mod connections;
mod failure;
mod health;
mod json;
mod metadata;
mod path;
mod router;
mod state;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::metadata::Extended;
use crate::readiness::Readiness;
use crate::registry::Registry;

/// How long answers in flight may take once the server stops.
const STOP_CAP: Duration = Duration::from_secs(5);

/// The HTTP API of one host.
pub struct Api {
    app_id: String,
    registry: Arc<Registry>,
    readiness: Readiness,
    /// What applications and tools added to the metadata.
    extended: Extended,
    shutdown: CancellationToken,
}

impl Api {
    /// The API of the application `app_id` over the components of a registry. A POST to `/v1.0/shutdown` cancels
    /// `shutdown`; so does whoever wants to end [`serve`](Self::serve).
    #[must_use]
    pub fn new(
        app_id: impl Into<String>,
        registry: Arc<Registry>,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            app_id: app_id.into(),
            registry,
            readiness,
            extended: Extended::default(),
            shutdown,
        }
    }

    /// Serves the connections of a listener until `shutdown` is cancelled. Then it accepts no more, lets answers in flight
    /// finish for at most five seconds, and returns. The components stay open.
    pub async fn serve(self, listener: TcpListener) {
        let shutdown = self.shutdown.clone();
        let most = connections::CONNECTIONS;
        connections::serve(listener, Arc::new(self), most, &shutdown, STOP_CAP).await;
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// Listens at an address; port 0 is any free port.
///
/// # Errors
/// [`InvalidSettings`](ErrorKind::InvalidSettings) when another program has the port,
/// [`Unavailable`](ErrorKind::Unavailable) when the address cannot be used for another reason. Both name the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let failed = match error.kind() {
            io::ErrorKind::AddrInUse => Error::new(
                ErrorKind::InvalidSettings,
                format!(
                    "listen at {address}: port {} is in use by another program",
                    address.port()
                ),
            ),
            _ => Error::new(
                ErrorKind::Unavailable,
                format!("listen at {address}: {error}"),
            ),
        };
        failed.with_source(error)
    })
}
