//! The connections of the HTTP API: HTTP/1.1, each in a task of its own, limited in number and in size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Api, router};

/// How many connections a host serves at once; others wait in the kernel.
pub(super) const CONNECTIONS: usize = 1024;
/// How large the head of a request may be; a larger one is answered with 431. Dapr's limit lies between 7 and 20 KiB.
const HEAD_LIMIT: usize = 16 << 10;
/// How long a connection may take to bring the head of its next request. It is also how long an idle one is kept, so it
/// is longer than the minute and a half after which Go's client closes one itself.
const HEAD_CAP: Duration = Duration::from_secs(120);
/// The pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, at most `most` connections at once, then lets answers in flight finish for at most `cap`.
pub(super) async fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    most: usize,
    stop: &CancellationToken,
    cap: Duration,
) {
    let mut connections = JoinSet::new();
    while let Some(stream) = accept(&listener, &mut connections, most, stop).await {
        connections.spawn(serve_one(stream, Arc::clone(&api), stop.clone()));
    }
    drop(listener);
    let drained = timeout(cap, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    if drained.is_err() {
        let left = connections.len();
        warn!(left, "ending HTTP connections whose answers take too long");
        connections.shutdown().await;
    }
}

/// The next connection, as soon as there is room for one; `None` at the stop.
async fn accept(
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
    most: usize,
    stop: &CancellationToken,
) -> Option<TcpStream> {
    loop {
        let full = connections.len() >= most;
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "serving an HTTP connection failed");
                }
            }
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(error) => {
                    warn!(%error, "cannot accept an HTTP connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve_one(stream: TcpStream, api: Arc<Api>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch Nagle's algorithm off");
    }
    let service = service_fn(|request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(router::answer(&api, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_CAP)
        .max_header_size(HEAD_LIMIT)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests;
