//! An application: an HTTP server that gets what a runtime delivers.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use dapr_pluggable_testbed::within;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A message or an event that the application was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    /// The path it came to.
    pub(crate) path: String,
    /// The body: a CloudEvent, or what an input binding has.
    pub(crate) body: Value,
    /// How often it came, this time included.
    pub(crate) attempt: usize,
}

impl Delivery {
    /// The data of a message, or of an event of a binding.
    pub(crate) fn data(&self) -> &Value {
        self.body.get("data").unwrap_or(&self.body)
    }
}

/// What the application answers: a status and a body.
pub(crate) type Answer = (u16, &'static str);

pub(crate) const DONE: Answer = (200, "");
pub(crate) const FAILED: Answer = (500, "");

/// An application that runs until it is dropped.
pub(crate) struct Application {
    address: SocketAddr,
    deliveries: watch::Receiver<Vec<Delivery>>,
    _server: JoinSet<()>,
}

impl Application {
    /// One that handles everything at once.
    pub(crate) async fn willing() -> Self {
        Self::start(async |_| DONE).await
    }

    /// One that answers so.
    pub(crate) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Delivery) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, deliveries) = watch::channel(Vec::new());
        let handler = Arc::new((answer, sender));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let handler = Arc::clone(&handler);
                        async move { handle(request, &handler.0, &handler.1).await }
                    });
                    // A runtime that goes leaves a connection in the middle of a request.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            deliveries,
            _server: server,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came to a path until now.
    pub(crate) fn deliveries(&self, path: &str) -> Vec<Delivery> {
        let deliveries = self.deliveries.borrow();
        let wanted = deliveries.iter().filter(|delivery| delivery.path == path);
        wanted.cloned().collect()
    }

    /// The data of what came to a path until now.
    pub(crate) fn data(&self, path: &str) -> Vec<Value> {
        let deliveries = self.deliveries(path).into_iter();
        deliveries.map(|delivery| delivery.data().clone()).collect()
    }

    /// Waits until this came to a path the so many-th time.
    pub(crate) async fn gets(&self, path: &str, data: &Value, attempt: usize) -> Delivery {
        let is_it = |delivery: &&Delivery| {
            delivery.path == path && delivery.data() == data && delivery.attempt == attempt
        };
        let mut deliveries = self.deliveries.clone();
        let what = format!("{data} comes to {path}, time {attempt}");
        let came = deliveries.wait_for(|deliveries| deliveries.iter().any(|one| is_it(&one)));
        let deliveries = within(&what, came).await.unwrap();
        deliveries.iter().find(is_it).unwrap().clone()
    }
}

async fn handle<F, A>(
    request: Request<Incoming>,
    answer: &F,
    deliveries: &watch::Sender<Vec<Delivery>>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    F: Fn(Delivery) -> A + Sync,
    A: Future<Output = Answer> + Send,
{
    let (status, body) = match *request.method() {
        Method::POST => {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap();
            answer(note(path, body, deliveries)).await
        }
        // Whether it wants to have the events of a binding.
        Method::OPTIONS => (200, ""),
        // It has neither a configuration nor subscriptions of its own.
        _ => (404, ""),
    };
    let response = Response::builder().status(status);
    Ok(response.body(Full::from(body)).unwrap())
}

fn note(path: String, body: Value, deliveries: &watch::Sender<Vec<Delivery>>) -> Delivery {
    let mut delivery = Delivery {
        path,
        body,
        attempt: 1,
    };
    deliveries.send_modify(|deliveries| {
        let same =
            |other: &&Delivery| (&other.path, other.data()) == (&delivery.path, delivery.data());
        delivery.attempt += deliveries.iter().filter(same).count();
        deliveries.push(delivery.clone());
    });
    delivery
}
