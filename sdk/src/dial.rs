//! A gRPC connection to a socket.

use std::io;
use std::path::Path;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::error::{Error, ErrorKind, Result};

/// Connects, once. The authority is `localhost`, as Go's clients have it: HTTP/2 does not allow a path there.
pub(crate) async fn dial(socket: &Path) -> Result<Channel> {
    // Connected here, for the error that the system gives.
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        let (kind, why) = match error.kind() {
            io::ErrorKind::NotFound => (ErrorKind::Unavailable, "there is no such file"),
            io::ErrorKind::ConnectionRefused => {
                (ErrorKind::Unavailable, "nobody listens: it is stale")
            }
            io::ErrorKind::PermissionDenied => {
                (ErrorKind::Denied, "this user may not connect to it")
            }
            _ => (ErrorKind::Unavailable, "no connection"),
        };
        let text = format!("connect to {}: {why} ({error})", socket.display());
        Error::new(kind, text).with_source(error)
    })?;
    let mut stream = Some(stream);
    let connect = service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new);
        async { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let connected = Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await;
    connected.map_err(|error| {
        let text = format!("speak HTTP/2 with {}: {error}", socket.display());
        Error::new(ErrorKind::Unavailable, text).with_source(error)
    })
}
