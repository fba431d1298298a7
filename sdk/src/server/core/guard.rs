//! What stands around one call and its response body: a panic becomes INTERNAL, a `grpc-timeout`
//! that has passed becomes DEADLINE_EXCEEDED, a message over the limit becomes RESOURCE_EXHAUSTED,
//! and a poll that blocks its connection is warned of.

use std::any::Any;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::codegen::BoxFuture;
use tonic::{Code, Status};

use super::backlog::{Backlog, Unsent};
use crate::wire::status;

/// A handler's future, as tonic's generated services make it.
pub(super) type Handler = BoxFuture<Response<tonic::body::Body>, Infallible>;

/// A poll that takes longer than this is warned about.
const SLOW_POLL: Duration = Duration::from_millis(1);
/// How long the same method is not warned about again.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
/// How many methods the warnings remember: paths come from the peer.
const WARNED_METHODS: usize = 256;

/// One call under guard. It always answers.
pub(super) struct Call {
    backlog: Arc<Backlog>,
    handler: Handler,
    watch: Watch,
}

impl Call {
    /// Guards what `start` makes: the handler's future, or a status that answers at once. `start`
    /// itself may panic too.
    pub(super) fn new(
        method: PathAndQuery,
        deadline: Option<Duration>,
        backlog: &Arc<Backlog>,
        start: impl FnOnce() -> Handler,
    ) -> Self {
        let handler = catch_unwind(AssertUnwindSafe(start))
            .unwrap_or_else(|payload| answer(panicked(&method, &*payload)));
        let deadline = deadline.map(Deadline::after);
        Self {
            backlog: Arc::clone(backlog),
            handler,
            watch: Watch { method, deadline },
        }
    }
}

/// A handler that gives `status` and does nothing else.
pub(super) fn answer(status: Status) -> Handler {
    respond(status.into_http())
}

/// A handler that gives `response` and does nothing else.
pub(super) fn respond(response: Response<tonic::body::Body>) -> Handler {
    Box::pin(std::future::ready(Ok(response)))
}

impl Future for Call {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            backlog,
            handler,
            watch,
        } = self.get_mut();
        let mut response = match watch.poll(cx, |cx| handler.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => response,
            Err(status) => status.into_http(),
        };
        let unsent = backlog.add(&mut response);
        rename_too_large(response.headers_mut());
        Poll::Ready(Ok(response.map(|body| Body {
            inner: Some(body),
            unsent,
            watch: watch.take(),
        })))
    }
}

/// A response body under guard. It ends with trailers, whatever happens inside.
pub(super) struct Body {
    /// `None` once it failed: what panicked is not polled again.
    inner: Option<tonic::body::Body>,
    /// Counts the answer, which is the first data.
    unsent: Option<Unsent>,
    watch: Watch,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self {
            inner,
            unsent,
            watch,
        } = self.get_mut();
        let Some(body) = inner else {
            return Poll::Ready(None);
        };
        let status = match watch.poll(cx, |cx| Pin::new(body).poll_frame(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(None)) => return Poll::Ready(None),
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    rename_too_large(trailers);
                }
                return Poll::Ready(Some(Ok(match unsent.take() {
                    Some(unsent) => frame.map_data(|data| unsent.with(data)),
                    None => frame,
                })));
            }
            Ok(Poll::Ready(Some(Err(status)))) | Err(status) => status,
        };
        *inner = None;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(
            Status::GRPC_STATUS,
            HeaderValue::from(Code::Internal as i32),
        );
    }
    trailers
}

/// Gives a message over the limit its name, in a head or in trailers.
fn rename_too_large(headers: &mut HeaderMap) {
    let is_candidate = |code: &HeaderValue| code.as_bytes() == b"11";
    if !headers.get(Status::GRPC_STATUS).is_some_and(is_candidate) {
        return;
    }
    let status = Status::from_header_map(headers);
    if let Some(status) = status.as_ref().and_then(status::too_large) {
        // Its text is plain ASCII, which every header can hold.
        let _ = status.add_header(headers);
    }
}

/// What a call and its body share.
struct Watch {
    method: PathAndQuery,
    deadline: Option<Deadline>,
}

impl Watch {
    /// Polls `inner`; a panic and a passed deadline are statuses.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Result<Poll<T>, Status> {
        let started = std::time::Instant::now();
        let polled = catch_unwind(AssertUnwindSafe(|| inner(cx)));
        let took = started.elapsed();
        // How long the report of a panic took says nothing about the handler.
        let polled = polled.map_err(|payload| panicked(&self.method, &*payload))?;
        if took > SLOW_POLL {
            warn_of_slow_poll(&self.method, took);
        }
        match &mut self.deadline {
            Some(deadline) if polled.is_pending() => {
                deadline.check(cx, &self.method).map(|()| polled)
            }
            _ => Ok(polled),
        }
    }

    /// Moves the watch from a call that has answered on to its body.
    fn take(&mut self) -> Self {
        let method = std::mem::replace(&mut self.method, PathAndQuery::from_static("/"));
        Self {
            method,
            deadline: self.deadline.take(),
        }
    }
}

/// A point in time whose timer is armed by the first poll that has to wait for it.
struct Deadline {
    at: Instant,
    allowed: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn after(allowed: Duration) -> Self {
        // The longest grpc-timeout, 99999999 hours, may be past the end of the clock.
        let now = Instant::now();
        let at = now
            .checked_add(allowed)
            .unwrap_or(now + Duration::from_secs(86_400 * 365));
        Self {
            at,
            allowed,
            timer: None,
        }
    }

    /// Fails once the time has passed; until then `cx` is woken when it does.
    fn check(&mut self, cx: &mut Context<'_>, method: &PathAndQuery) -> Result<(), Status> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.at)));
        if timer.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        let allowed = self.allowed;
        Err(Status::deadline_exceeded(format!(
            "{method} took longer than its {allowed:?}"
        )))
    }
}

/// Reads the `grpc-timeout` of a request: at most eight digits and a unit, one of `H M S m u n`.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    parse_timeout(value.as_bytes()).map(Some).ok_or_else(|| {
        let text: String = String::from_utf8_lossy(value.as_bytes())
            .chars()
            .take(32)
            .collect();
        Status::invalid_argument(format!(
            "grpc-timeout is {text:?}: expected one to eight digits and a unit, one of H M S m u n"
        ))
    })
}

fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Logs a panic and makes its answer, which does not repeat the panic's text to the peer.
fn panicked(method: &PathAndQuery, payload: &(dyn Any + Send)) -> Status {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text");
    tracing::error!(%method, panic = text, "a handler panicked");
    Status::internal(format!("the handler of {method} panicked"))
}

/// Warns once in a while per method; the process shares the memory of it.
fn warn_of_slow_poll(method: &PathAndQuery, took: Duration) {
    static WARNED: Mutex<BTreeMap<String, std::time::Instant>> = Mutex::new(BTreeMap::new());
    let now = std::time::Instant::now();
    {
        let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = warned.len();
        match warned.get_mut(method.path()) {
            Some(last) if now.duration_since(*last) < WARN_INTERVAL => return,
            Some(last) => *last = now,
            None if known >= WARNED_METHODS => return,
            None => {
                warned.insert(method.path().to_owned(), now);
            }
        }
    }
    tracing::warn!(
        %method,
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "a handler blocked its connection: use spawn_blocking, or offload the building block"
    );
}
