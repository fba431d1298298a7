//! The one error type of components, clients and hosts.

use std::fmt;

use bytes::Bytes;

/// What every fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A source error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a call failed: a kind that has a meaning on the wire, a text for people, and perhaps a cause.
///
/// The text is a lower-case fragment that reads after "failed to …" and names the key, topic or setting
/// concerned, never a secret.
///
/// ```
/// use dapr_pluggable::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "redis at localhost:6379 does not answer");
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "redis at localhost:6379 does not answer");
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
    wire: Option<WireStatus>,
}

/// What an [`Error`] means to the runtime. Each kind has one gRPC code, and those that Dapr reads details
/// from carry exactly one status detail.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A thing that must exist does not: a secret, a topic. Not for a missing state key, which is `Ok(None)`.
    /// `NOT_FOUND`.
    NotFound,
    /// The request is wrong whatever the state of the system: an empty key, an unknown operation. `INVALID_ARGUMENT`.
    InvalidRequest,
    /// The metadata of a component is wrong or incomplete. `INVALID_ARGUMENT`.
    InvalidSettings,
    /// The etag given is not the stored one; or a first-write found a value. `FAILED_PRECONDITION` with a
    /// `BadRequest` on field `etag`: the application sees HTTP 409.
    EtagMismatch,
    /// The etag given cannot be one of this store. `INVALID_ARGUMENT` with a `BadRequest` on field `etag`:
    /// the application sees HTTP 400.
    EtagInvalid,
    /// A bulk delete removed fewer rows than it was asked for. `INTERNAL` with an `ErrorInfo`.
    BulkDeleteMismatch {
        /// Rows that should have gone.
        expected: u64,
        /// Rows that went.
        affected: u64,
    },
    /// The component does not do this. `UNIMPLEMENTED`.
    Unsupported,
    /// No Init opened the instance that was called. `FAILED_PRECONDITION`.
    NotOpened,
    /// The backend refused the caller. `PERMISSION_DENIED`.
    Denied,
    /// A quota or a size limit was met; later, or smaller, it may work. `RESOURCE_EXHAUSTED`.
    Throttled,
    /// The backend cannot be reached or is starting; trying again may work. `UNAVAILABLE`.
    Unavailable,
    /// The call took longer than it may. `DEADLINE_EXCEEDED`.
    TimedOut,
    /// The caller went away or the component is stopping. `CANCELLED`.
    Cancelled,
    /// An error whose HTTP code and tag the application sees (Dapr's "kit" error). The code given with it,
    /// with an `ErrorInfo`.
    Runtime(RuntimeFault),
    /// Anything else. `INTERNAL`.
    Internal,
}

impl ErrorKind {
    /// The name for logs and metric labels: lower case with underscores.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidSettings => "invalid_settings",
            Self::EtagMismatch => "etag_mismatch",
            Self::EtagInvalid => "etag_invalid",
            Self::BulkDeleteMismatch { .. } => "bulk_delete_mismatch",
            Self::Unsupported => "unsupported",
            Self::NotOpened => "not_opened",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Runtime(_) => "runtime",
            Self::Internal => "internal",
        }
    }

    /// The gRPC code that the kind has on the wire, 1 to 16.
    #[must_use]
    pub fn grpc_code(&self) -> u32 {
        match self {
            Self::Cancelled => 1,
            Self::InvalidRequest | Self::InvalidSettings | Self::EtagInvalid => 3,
            Self::TimedOut => 4,
            Self::NotFound => 5,
            Self::Denied => 7,
            Self::Throttled => 8,
            Self::EtagMismatch | Self::NotOpened => 9,
            Self::Unsupported => 12,
            Self::BulkDeleteMismatch { .. } | Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Runtime(fault) => fault.grpc_code,
        }
    }
}

/// What Dapr calls a kit error: the runtime answers the application with this HTTP code and tag.
///
/// Only state calls other than transactions honour it; elsewhere the runtime keeps its own codes.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFault {
    /// The gRPC code, 1 to 16.
    pub grpc_code: u32,
    /// The HTTP status the application gets.
    pub http_code: u16,
    /// The error code in the application's answer, such as `ERR_QUOTA`.
    pub tag: String,
    /// The reason of the `ErrorInfo`, such as `DAPR_STATE_QUOTA`.
    pub reason: String,
    /// The domain of the `ErrorInfo`, `dapr.io` by custom.
    pub domain: String,
}

impl RuntimeFault {
    /// A fault of domain `dapr.io` whose reason is the tag.
    pub fn new(grpc_code: u32, http_code: u16, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        Self {
            grpc_code,
            http_code,
            reason: tag.clone(),
            tag,
            domain: "dapr.io".to_owned(),
        }
    }
}

/// The status an error had when it came off a wire: repeated unchanged when it goes onto one again.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireStatus {
    /// The gRPC code, 1 to 16.
    pub code: u32,
    /// The status message.
    pub message: String,
    /// The details in their order, each an encoded message.
    pub details: Vec<WireDetail>,
}

impl WireStatus {
    /// A status as it was received.
    pub fn new(code: u32, message: impl Into<String>, details: Vec<WireDetail>) -> Self {
        Self {
            code,
            message: message.into(),
            details,
        }
    }
}

/// One status detail: what protobuf calls an `Any`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireDetail {
    /// The type, such as `type.googleapis.com/google.rpc.BadRequest`.
    pub type_url: String,
    /// The encoded message.
    pub value: Bytes,
}

impl WireDetail {
    /// A detail as it was received.
    pub fn new(type_url: impl Into<String>, value: Bytes) -> Self {
        Self {
            type_url: type_url.into(),
            value,
        }
    }
}

impl Error {
    /// An error of a kind, with a text for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                source: None,
                wire: None,
            }),
        }
    }

    /// The request is wrong: [`ErrorKind::InvalidRequest`].
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// The metadata of a component is wrong: [`ErrorKind::InvalidSettings`].
    pub fn invalid_settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidSettings, message)
    }

    /// The component does not do `what`: [`ErrorKind::Unsupported`].
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what}: not supported by this component"),
        )
    }

    /// The stored etag of `key` is another: [`ErrorKind::EtagMismatch`]. The runtime puts `possible etag mismatch.` before
    /// the text.
    pub fn etag_mismatch(key: &str) -> Self {
        Self::new(
            ErrorKind::EtagMismatch,
            format!("key {key:?} was changed by another write"),
        )
    }

    /// Something that should not happen did: [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The errors of several keys as one, with the kind of the first; `None` when there are none. One alone stays as it is.
    #[must_use]
    pub fn join(errors: Vec<(String, Self)>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let (key, first) = errors.next()?;
        let others: Vec<String> = errors
            .map(|(key, error)| format!("{key:?}: {error}"))
            .collect();
        if others.is_empty() {
            return Some(first);
        }
        let message = format!("{key:?}: {first}; {}", others.join("; "));
        Some(Self::new(first.kind().clone(), message).with_source(first))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same error with the status it had on the wire. Only a client of the wire sets it.
    #[must_use]
    pub fn with_wire(mut self, status: WireStatus) -> Self {
        self.inner.wire = Some(status);
        self
    }

    /// The same error with `context: ` before its text. What came off a wire stays as it was there.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.inner.message = format!("{context}: {}", self.inner.message);
        self
    }

    /// What it means.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// The text for people, without causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The status it had on a wire, if it came off one.
    #[must_use]
    pub fn wire(&self) -> Option<&WireStatus> {
        self.inner.wire.as_ref()
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Throttled
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message);
        if let Some(source) = &self.inner.source {
            debug.field("source", source);
        }
        if let Some(wire) = &self.inner.wire {
            debug.field("wire", wire);
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.inner.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
