//! Bindings, in and out: the traits, their requests and answers.

use async_trait::async_trait;
use bytes::Bytes;

use crate::component::Component;
use crate::delivery::Events;
use crate::error::Result;
use crate::metadata::Metadata;

/// A source of events.
#[async_trait]
pub trait InputBinding: Component {
    /// Delivers events for as long as the reader lives: give each to [`events.deliver`](Events::deliver) and settle it
    /// at the source by the reply. When [`events.closed`](Events::closed) fires, settle what was answered and return,
    /// within 5 s; an event without reply by then is left to be delivered again.
    ///
    /// # Errors
    /// What the source reports. Returning at all while the reader lives, with or without an error, ends its stream as
    /// `UNAVAILABLE`. Afterwards [`Closed`](crate::delivery::Closed), which `?` gives, is no error.
    async fn read(&self, events: Events) -> Result<()>;
}

/// A target of calls.
#[async_trait]
pub trait OutputBinding: Component {
    /// The operations that [`invoke`](Self::invoke) knows, such as `create`. The runtime reads them once, after Init,
    /// and refuses others.
    fn operations(&self) -> Vec<String>;

    /// Runs an operation.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for an unknown operation, and whatever the target reports.
    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse>;
}

/// An event on its way to the application.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event.
    pub data: Bytes,
    /// What else there is to know; over HTTP each entry becomes a header of the request to the application.
    pub metadata: Metadata,
    /// The type of `data`.
    pub content_type: Option<String>,
}

impl Event {
    /// An event with no metadata.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }

    /// With metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// A call to a target.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvokeRequest {
    /// The operation, such as `create`.
    pub operation: String,
    /// The data.
    pub data: Bytes,
    /// Options of this call.
    pub metadata: Metadata,
}

impl InvokeRequest {
    /// An operation on data, with no options.
    pub fn new(operation: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            operation: operation.into(),
            data: data.into(),
            ..Self::default()
        }
    }
}

/// The answer of a target.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvokeResponse {
    /// The data.
    pub data: Bytes,
    /// What else there is to know.
    pub metadata: Metadata,
    /// The type of `data`.
    pub content_type: Option<String>,
}

impl InvokeResponse {
    /// Data with no metadata.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }
}
