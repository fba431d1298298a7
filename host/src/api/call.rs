//! A request on its way to its handler.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::path::Parameters;

/// How large a body may be, as in Dapr's runtime.
const BODY_LIMIT: usize = 4 << 20;
/// How long a body may take to arrive.
const BODY_CAP: Duration = Duration::from_secs(60);
/// How much of a body that nobody wants is read, so that its sender gets to read the answer.
const DRAIN_LIMIT: usize = 16 << 20;
/// How long that may take.
const DRAIN_CAP: Duration = Duration::from_secs(2);

/// A request: its parameters, its header fields, its body.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) parameters: Parameters,
    pub(super) headers: HeaderMap,
    body: Incoming,
    /// The sender waits for a word before it sends the body.
    is_held_back: bool,
}

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum BodyFault {
    TooLarge,
    TooSlow,
    Broken(hyper::Error),
}

/// For a body that is too large, the words of Dapr.
impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("stream too large"),
            Self::TooSlow => write!(f, "body did not arrive within {} s", BODY_CAP.as_secs()),
            Self::Broken(error) => write!(f, "body broke off: {error}"),
        }
    }
}

impl Call {
    pub(super) fn new(parameters: Parameters, headers: HeaderMap, body: Incoming) -> Self {
        Self {
            parameters,
            is_held_back: headers.contains_key(EXPECT),
            headers,
            body,
        }
    }

    /// Reads the body, of at most 4 MiB.
    pub(super) async fn body(&mut self) -> Result<Bytes, BodyFault> {
        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > BODY_LIMIT {
            return Err(BodyFault::TooLarge);
        }
        self.is_held_back = false;
        let read = timeout(BODY_CAP, read(&mut self.body, announced)).await;
        read.unwrap_or(Err(BodyFault::TooSlow))
    }

    /// Reads what is left of the body. Many a client reads no answer before it has sent everything, and a connection
    /// that ends meanwhile is all that it sees.
    pub(super) async fn drain(&mut self) {
        if !self.is_held_back && !self.body.is_end_stream() {
            // Nothing depends on how far this comes.
            let _ = timeout(DRAIN_CAP, drain(&mut self.body)).await;
        }
    }
}

async fn read(body: &mut Incoming, announced: usize) -> Result<Bytes, BodyFault> {
    let mut whole = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyFault::Broken)?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_LIMIT {
            return Err(BodyFault::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn drain(body: &mut Incoming) {
    let mut left = DRAIN_LIMIT;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
