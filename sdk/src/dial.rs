//! A gRPC connection to a socket.

use std::error::Error as StdError;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::error::{Error, ErrorKind, Result};

/// How long a peer may take to let somebody in, or to say what it is.
pub(crate) const ANSWER_CAP: Duration = Duration::from_secs(5);

/// Calls that may queue before the connection. Short, so that both ends work at the same time instead of handing each
/// other whole batches.
const QUEUED_CALLS: usize = 8;

/// How many calls that were given up are remembered for a second, so that their answers, which may be on the way, are no
/// errors. h2's own 50 are few where an application gives up all that it waits for.
const REMEMBERED_RESETS: usize = 1024;
/// How many frames the peer may send for streams that are not known any more, over the whole life of the connection: then
/// it ends, with all calls. h2's own 1024 are reached by a peer that is merely slower than its callers are patient.
const STRAY_FRAMES: usize = 1 << 20;

/// Connects. A connection that broke is made anew at the next call. The authority is `localhost`, as Go's clients have
/// it: HTTP/2 does not allow a path there.
///
/// What carries the connection runs on the runtime of the caller.
pub(crate) async fn dial(socket: &Path) -> Result<Channel> {
    // Connected here, for the error that the system gives.
    let mut first = Some(connect(socket.to_owned()).await?);
    let path = socket.to_owned();
    let connector = service_fn(move |_| {
        let (first, path) = (first.take(), path.clone());
        async {
            let stream = match first {
                Some(stream) => stream,
                None => connect(path).await?,
            };
            Ok::<_, Error>(TokioIo::new(stream))
        }
    });
    let connected = Endpoint::from_static("http://localhost")
        .buffer_size(QUEUED_CALLS)
        .http2_max_concurrent_reset_streams(REMEMBERED_RESETS)
        .http2_max_local_error_reset_streams(STRAY_FRAMES)
        .connect_with_connector(connector)
        .await;
    connected.map_err(|error| {
        let text = format!("speak HTTP/2 with {}: {error}", socket.display());
        Error::new(ErrorKind::Unavailable, text).with_source(error)
    })
}

async fn connect(socket: PathBuf) -> Result<UnixStream> {
    let connected = timeout(ANSWER_CAP, UnixStream::connect(&socket)).await;
    connected
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| {
            let (kind, why) = match error.kind() {
                io::ErrorKind::NotFound => (ErrorKind::Unavailable, "there is no such file"),
                io::ErrorKind::ConnectionRefused if !is_socket(&socket) => {
                    (ErrorKind::Unavailable, "it is not a socket")
                }
                io::ErrorKind::ConnectionRefused => {
                    (ErrorKind::Unavailable, "nobody listens: it is stale")
                }
                io::ErrorKind::WouldBlock => (
                    ErrorKind::Unavailable,
                    "it lets nobody in, and its queue is full",
                ),
                io::ErrorKind::PermissionDenied => {
                    (ErrorKind::Denied, "this user may not connect to it")
                }
                _ => (ErrorKind::Unavailable, "no connection"),
            };
            let text = format!("connect to {}: {why} ({error})", socket.display());
            Error::new(kind, text).with_source(error)
        })
}

/// Whether that is so, or may be.
fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.file_type().is_socket())
}

/// What a status says that came from no peer but from the connection to the socket, which could not be made or broke.
pub(crate) fn broken(socket: &Path, status: &Status) -> Option<Error> {
    let mut cause = StdError::source(status)?;
    loop {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return Some(Error::new(error.kind().clone(), error.message()));
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => break,
        }
    }
    let text = format!("call {}: the call was cut off: {cause}", socket.display());
    Some(Error::new(ErrorKind::Unavailable, text))
}
