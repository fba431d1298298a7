//! Which service a call is for. The table is built once; each connection has a [`Router`] on it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::server::NamedService;

use super::backlog::{Backlog, Inbound};
use super::guard::{self, Body, Call, Handler};
use super::{Observer, Peer};

/// What tonic generates for a gRPC service, over the request bodies that this server has.
///
/// A clone is made for each call and `poll_ready` is not asked: generated services are always
/// ready, and their clones are cheap.
pub(crate) trait Service:
    tower_service::Service<
        Request<Inbound>,
        Response = Response<tonic::body::Body>,
        Error = Infallible,
        Future = Handler,
    > + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Service for S where
    S: tower_service::Service<
            Request<Inbound>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future = Handler,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Where a service's handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offload {
    /// In the task of the connection: fastest, for handlers that never block.
    No,
    /// On a work-stealing runtime that all workers share, aborted when the call is dropped: a
    /// handler that blocks delays nobody but itself. A response stream is still polled by the
    /// connection; what the handler spawned to feed it runs on the shared runtime.
    Yes,
}

/// The services behind one socket, by name. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Dispatch {
    services: HashMap<&'static str, Entry>,
}

#[derive(Clone)]
struct Entry {
    name: &'static str,
    /// Its place in a router's list of services already seen.
    index: usize,
    offload: Offload,
    start: Arc<dyn Fn(Request<Inbound>) -> Handler + Send + Sync>,
}

impl std::fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.services.keys()).finish()
    }
}

impl Dispatch {
    /// Adds a service under its own name; a service of the same name is replaced.
    pub(crate) fn add<S: Service>(&mut self, service: S, offload: Offload) {
        let next = self.services.len();
        let index = self.services.get(S::NAME).map_or(next, |entry| entry.index);
        let start = Arc::new(move |request| service.clone().call(request));
        self.services.insert(
            S::NAME,
            Entry {
                name: S::NAME,
                index,
                offload,
                start,
            },
        );
    }

    /// The names of the services.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.services.keys().copied()
    }

    /// Whether any service needs the shared runtime.
    pub(super) fn offloads(&self) -> bool {
        self.services
            .values()
            .any(|entry| entry.offload == Offload::Yes)
    }
}

/// What the connections of one listener share.
pub(super) struct Shared {
    pub(super) dispatch: Dispatch,
    pub(super) observer: Arc<dyn Observer>,
    /// The runtime of offloaded services, where there are any.
    pub(super) offload: Option<Handle>,
}

/// One connection as its observer sees it: opened when this is made, closed when it is dropped.
pub(super) struct Session {
    peer: Peer,
    shared: Arc<Shared>,
    /// One flag per service: set by its first call.
    seen: Box<[AtomicBool]>,
    backlog: Arc<Backlog>,
}

impl Session {
    pub(super) fn open(peer: Peer, shared: Arc<Shared>) -> Self {
        shared.observer.opened(&peer);
        let seen = shared
            .dispatch
            .services
            .iter()
            .map(|_| AtomicBool::new(false))
            .collect();
        Self {
            peer,
            shared,
            seen,
            backlog: Arc::default(),
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    fn note_call(&self, entry: &Entry) {
        let first = self.seen.get(entry.index).is_some_and(|seen| {
            !seen.load(Ordering::Relaxed) && !seen.swap(true, Ordering::Relaxed)
        });
        if first {
            self.shared.observer.first_call(&self.peer, entry.name);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.observer.closed(&self.peer);
    }
}

/// hyper's service for one connection.
pub(super) struct Router(pub(super) Arc<Session>);

impl hyper::service::Service<Request<Incoming>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: Request<Incoming>) -> Call {
        let uri = request.uri();
        let method = uri.path_and_query().cloned();
        let method = method.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let backlog = &self.0.backlog;
        match guard::timeout(request.headers()) {
            Ok(deadline) => Call::new(method, deadline, backlog, || self.start(request)),
            Err(status) => Call::new(method, None, backlog, || guard::answer(status)),
        }
    }
}

impl Router {
    /// Finds the service and starts its handler.
    fn start(&self, mut request: Request<Incoming>) -> Handler {
        if let Some(refused) = refuse(&request) {
            return guard::respond(refused);
        }
        let session = &*self.0;
        let name = service_name(request.uri().path());
        let Some(entry) = session.shared.dispatch.services.get(name) else {
            return guard::answer(Status::unimplemented(format!("unknown service {name:?}")));
        };
        session.note_call(entry);
        request.extensions_mut().insert(session.peer);
        let request = request.map(|body| Inbound::new(body, Arc::clone(&session.backlog)));
        match (&entry.offload, &session.shared.offload) {
            (Offload::Yes, Some(runtime)) => offload(runtime, Arc::clone(&entry.start), request),
            _ => (entry.start)(request),
        }
    }
}

/// `/package.Service/Method` names `package.Service`.
fn service_name(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(service, _)| service)
}

/// Answers what is HTTP/2 but not gRPC, as the gRPC protocol asks.
fn refuse<B>(request: &Request<B>) -> Option<Response<tonic::body::Body>> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    let mut response = Response::new(tonic::body::Body::empty());
    if request.method() != Method::POST {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
    } else if !content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    } else {
        return None;
    }
    Some(response)
}

/// Runs a handler on `runtime`; the returned future aborts it when dropped and panics where it
/// panicked.
fn offload(
    runtime: &Handle,
    start: Arc<dyn Fn(Request<Inbound>) -> Handler + Send + Sync>,
    request: Request<Inbound>,
) -> Handler {
    let task = AbortOnDropHandle::new(runtime.spawn(async move { start(request).await }));
    Box::pin(async move {
        match task.await {
            Ok(response) => response,
            Err(failed) => match failed.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                Err(_) => Ok(Status::unavailable("the server is stopping").into_http()),
            },
        }
    })
}
