//! Answers for probes and for Prometheus, over HTTP: `/livez`, `/readyz` and `/metrics`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::observe;

/// How long a request may take to arrive.
const HEAD_CAP: Duration = Duration::from_secs(5);
/// How long a connection may take altogether: the answer must be read.
const CONNECTION_CAP: Duration = Duration::from_secs(10);
/// How many connections are served at once; others wait.
const CONNECTIONS: usize = 64;
/// The pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the recorder tidies its histograms.
const UPKEEP: Duration = Duration::from_secs(5);
/// The buckets of histograms, in seconds: from a call in memory to a backend that struggles.
const BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];

/// The addresses at which this process answers. Dropped, it answers no more.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    ready: Arc<AtomicBool>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Endpoints {
    /// Listens at each address, once. Not ready yet. What runs on `runtimes` is counted.
    pub(super) async fn listen(
        addresses: impl Iterator<Item = SocketAddr>,
        runtimes: Vec<Handle>,
    ) -> Result<Self> {
        let mut endpoints = Self::default();
        let addresses: BTreeSet<SocketAddr> = addresses.collect();
        if addresses.is_empty() {
            return Ok(endpoints);
        }
        let (metrics, runtimes) = (recorder(), Arc::from(runtimes));
        if let Some(metrics) = metrics {
            let upkeep = tokio::spawn(keep_up(metrics));
            endpoints.tasks.push(AbortOnDropHandle::new(upkeep));
        }
        for address in addresses {
            let fail = |error: std::io::Error| {
                let text = format!("listen for HTTP at {address}: {error}");
                Error::new(ErrorKind::Unavailable, text).with_source(error)
            };
            let listener = TcpListener::bind(address).await.map_err(fail)?;
            let address = listener.local_addr().map_err(fail)?;
            tracing::info!(%address, "answering /livez, /readyz and /metrics");
            let answers = Answers {
                ready: Arc::clone(&endpoints.ready),
                metrics,
                runtimes: Arc::clone(&runtimes),
            };
            let task = tokio::spawn(accept_all(listener, answers));
            endpoints.tasks.push(AbortOnDropHandle::new(task));
        }
        Ok(endpoints)
    }

    /// What `/readyz` says from now on.
    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// The recorder of this process, installed by the first who asks; `None` where the process has another one.
fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let suffix = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(suffix, &BUCKETS)
            .inspect_err(|error| tracing::warn!(%error, "no buckets for histograms"))
            .ok()?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("/metrics is not offered: this process has its own metrics recorder");
            return None;
        }
        observe::describe();
        Some(handle)
    };
    HANDLE.get_or_init(install).as_ref()
}

async fn keep_up(metrics: &'static PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

async fn accept_all(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(answer_all(stream, answers.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept an HTTP connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer_all(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answers: Answers,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answers.to(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_CAP)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_CAP, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection failed"),
        Err(_) => tracing::debug!(cap = ?CONNECTION_CAP, "an HTTP answer was not read"),
    }
}

#[derive(Clone)]
struct Answers {
    ready: Arc<AtomicBool>,
    metrics: Option<&'static PrometheusHandle>,
    runtimes: Arc<[Handle]>,
}

impl Answers {
    fn to(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = match (path, self.metrics) {
            ("/livez" | "/readyz" | "/metrics", _)
                if !matches!(*method, Method::GET | Method::HEAD) =>
            {
                (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned())
            }
            ("/livez", _) => (StatusCode::OK, "alive\n".to_owned()),
            ("/readyz", _) if self.ready.load(Ordering::Acquire) => {
                (StatusCode::OK, "ready\n".to_owned())
            }
            ("/readyz", _) => (StatusCode::SERVICE_UNAVAILABLE, "not serving\n".to_owned()),
            ("/metrics", Some(metrics)) => {
                metrics::gauge!(observe::TASKS).set(self.tasks() as f64);
                (StatusCode::OK, metrics.render())
            }
            _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    fn tasks(&self) -> usize {
        let alive = |runtime: &Handle| runtime.metrics().num_alive_tasks();
        self.runtimes.iter().map(alive).sum()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_an_answer_is_not_waited_for() {
        let answers = Answers {
            ready: Arc::default(),
            metrics: None,
            runtimes: Arc::default(),
        };
        // What is between them has no room for an answer.
        let (mut client, server) = duplex(64);
        let request = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        timeout(Duration::from_secs(60), answer_all(server, answers))
            .await
            .unwrap();
    }
}
