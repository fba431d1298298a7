//! The state store: the trait, its requests and answers.

mod bulk;
mod query;

use std::fmt;
use std::num::NonZeroU32;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::query::{Filter, Order, Page, Query, QueryItem, QueryPage, Sort};
use crate::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::Metadata;

/// A store of values by key.
///
/// Keys arrive final: the runtime has put its prefix before them (`app||key` by default). Values are bytes and come
/// back as they went in. Calls for one value run concurrently. When the caller gives up, the future is dropped.
#[async_trait]
pub trait StateStore: Component {
    /// What the store does beyond the methods it has. The runtime reads it once, after Init.
    fn claims(&self) -> StateClaims {
        StateClaims::default()
    }

    /// The value of a key, or `None` when there is none (not an error).
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for an empty key, and whatever the backend reports.
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>>;

    /// Writes a value. With an etag only over the value that has it; with [`Concurrency::FirstWrite`] and no etag
    /// only where there is none. Metadata `ttlInSeconds` limits its life.
    ///
    /// # Errors
    /// [`EtagMismatch`](ErrorKind::EtagMismatch) when a condition does not hold,
    /// [`EtagInvalid`](ErrorKind::EtagInvalid) for an etag that this store never gave,
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for an empty key or a bad TTL.
    async fn set(&self, request: SetRequest) -> Result<()>;

    /// Removes a key. A missing key is no error unless an etag was given.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    async fn delete(&self, request: DeleteRequest) -> Result<()>;

    /// Several gets: one answer a request, in the order of the requests, each with its own outcome. The default
    /// runs [`get`](Self::get), `parallelism` at a time.
    ///
    /// # Errors
    /// Only what concerns all of them.
    async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        parallelism: Parallelism,
    ) -> Result<Vec<BulkEntry>> {
        bulk::get(self, requests, parallelism).await
    }

    /// Several sets, not atomic. The default runs [`set`](Self::set), `parallelism` at a time, all of them even when
    /// one fails.
    ///
    /// # Errors
    /// The failure of one key as [`set`](Self::set) gave it; several in one text, with the kind of the first.
    async fn bulk_set(&self, requests: Vec<SetRequest>, parallelism: Parallelism) -> Result<()> {
        bulk::set(self, requests, parallelism).await
    }

    /// Several deletes, not atomic. The default runs [`delete`](Self::delete), `parallelism` at a time, all of them
    /// even when one fails.
    ///
    /// # Errors
    /// As [`bulk_set`](Self::bulk_set), or [`BulkDeleteMismatch`](ErrorKind::BulkDeleteMismatch).
    async fn bulk_delete(
        &self,
        requests: Vec<DeleteRequest>,
        parallelism: Parallelism,
    ) -> Result<()> {
        bulk::delete(self, requests, parallelism).await
    }

    /// The store as one with transactions, if this instance has them.
    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        None
    }

    /// The store as one with queries, if this instance has them.
    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        None
    }
}

/// A store whose writes can be put together, all or none.
#[async_trait]
pub trait TransactionalStateStore: Send + Sync {
    /// How many operations one transaction may have; `None` is no limit.
    ///
    /// # Errors
    /// What the backend reports; a runtime then assumes no limit.
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        Ok(None)
    }

    /// Runs the operations in their order. When one fails, none has happened.
    ///
    /// # Errors
    /// As [`StateStore::set`]; the runtime shows any of them as a failed transaction.
    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()>;
}

/// A store that can be searched by the content of its (JSON) values.
#[async_trait]
pub trait QueryableStateStore: Send + Sync {
    /// The values that a filter selects, sorted, page by page. Not limited to the keys of one application: the
    /// runtime sends no prefix with a query.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for a query that cannot be run.
    async fn query(&self, query: Query) -> Result<QueryPage>;
}

/// What a state store does beyond the methods it has. Transactions and queries are not here: the accessors say so.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateClaims {
    /// Values have etags and conditions on them hold. Feature `ETAG`.
    pub etag: bool,
    /// `ttlInSeconds` is honoured. Feature `TTL`.
    pub ttl: bool,
    /// Further feature names, passed on as they are.
    pub other: Vec<String>,
}

impl StateClaims {
    /// Nothing beyond the methods.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With etags.
    #[must_use]
    pub fn with_etag(mut self) -> Self {
        self.etag = true;
        self
    }

    /// With time to live.
    #[must_use]
    pub fn with_ttl(mut self) -> Self {
        self.ttl = true;
        self
    }

    /// With a feature of another name.
    #[must_use]
    pub fn with_other(mut self, feature: impl Into<String>) -> Self {
        self.other.push(feature.into());
        self
    }
}

/// The version of a stored value: free text of the store's choice, compared as a whole.
///
/// An etag may be present and empty. That is a value like any other, except in [`SetRequest::check_etag`] and
/// [`DeleteRequest::check_etag`], where it means none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(String);

impl Etag {
    /// The etag of that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, moved out.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<&str> for Etag {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<u64> for Etag {
    fn from(version: u64) -> Self {
        Self(version.to_string())
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a write does about other writers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// The caller did not say; a store does as [`LastWrite`](Self::LastWrite).
    #[default]
    Unspecified,
    /// Without an etag only where there is no value.
    FirstWrite,
    /// Over whatever is there.
    LastWrite,
}

/// What a call asks of replicas.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The caller did not say.
    #[default]
    Unspecified,
    /// The nearest replica will do.
    Eventual,
    /// All (or a majority) must have it.
    Strong,
}

/// How many single calls a bulk call may run at once: the number as the caller gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parallelism(i64);

impl Parallelism {
    /// The number as the caller gave it; zero or less leaves the choice to the store.
    #[must_use]
    pub const fn new(raw: i64) -> Self {
        Self(raw)
    }

    /// The number as the caller gave it.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// A number to work with: 16 for zero or less, at most 256.
    #[must_use]
    pub fn width(self) -> usize {
        match self.0 {
            i64::MIN..=0 => 16,
            raw => usize::try_from(raw).map_or(256, |width| width.min(256)),
        }
    }
}

/// Asks for the value of a key.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRequest {
    /// The key, prefix included.
    pub key: String,
    /// Options of this request.
    pub metadata: Metadata,
    /// What it asks of replicas.
    pub consistency: Consistency,
}

impl GetRequest {
    /// For a key, with no options.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }
}

/// Asks to write a value.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRequest {
    /// The key, prefix included.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// The etag that the stored value must have.
    pub etag: Option<Etag>,
    /// Options of this request, `ttlInSeconds` among them.
    pub metadata: Metadata,
    /// What it does about other writers.
    pub concurrency: Concurrency,
    /// What it asks of replicas.
    pub consistency: Consistency,
    /// The type of the value as the application named it.
    pub content_type: Option<String>,
}

impl SetRequest {
    /// For a key and a value, with no options.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            ..Self::default()
        }
    }

    /// Whether this write may go over a value with the etag `current` (`None`: there is no value).
    ///
    /// With an etag, the stored one must be equal. Without one (or with an empty one) a first-write finds no value,
    /// and any other write goes ahead.
    ///
    /// # Errors
    /// [`EtagMismatch`](ErrorKind::EtagMismatch) when it may not.
    pub fn check_etag(&self, current: Option<&Etag>) -> Result<()> {
        check_etag(&self.key, self.etag.as_ref(), self.concurrency, current)
    }
}

/// Asks to remove a key.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The key, prefix included.
    pub key: String,
    /// The etag that the stored value must have.
    pub etag: Option<Etag>,
    /// Options of this request.
    pub metadata: Metadata,
    /// What it does about other writers.
    pub concurrency: Concurrency,
    /// What it asks of replicas.
    pub consistency: Consistency,
}

impl DeleteRequest {
    /// For a key, with no options.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// Whether this delete may remove a value with the etag `current` (`None`: there is no value). With an etag, the
    /// stored one must be equal; without one (or with an empty one) it goes ahead.
    ///
    /// # Errors
    /// [`EtagMismatch`](ErrorKind::EtagMismatch) when it may not.
    pub fn check_etag(&self, current: Option<&Etag>) -> Result<()> {
        check_etag(
            &self.key,
            self.etag.as_ref(),
            Concurrency::LastWrite,
            current,
        )
    }
}

/// A stored value.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The bytes as they were written.
    pub value: Bytes,
    /// The version.
    pub etag: Option<Etag>,
    /// What else there is to know; `ttlExpireTime` (RFC 3339, UTC) where the value has a limited life.
    pub metadata: Metadata,
    /// The type of the value, where the store keeps it.
    pub content_type: Option<String>,
}

impl Entry {
    /// A value without etag.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// With an etag.
    #[must_use]
    pub fn with_etag(mut self, etag: impl Into<Etag>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// With metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// The answer to one get of several.
#[non_exhaustive]
#[derive(Debug)]
pub struct BulkEntry {
    /// The key asked for.
    pub key: String,
    /// Its value, or `None` when there is none, or why it could not be read.
    pub outcome: Result<Option<Entry>>,
}

impl BulkEntry {
    /// The answer for a key.
    pub fn new(key: impl Into<String>, outcome: Result<Option<Entry>>) -> Self {
        Self {
            key: key.into(),
            outcome,
        }
    }
}

/// One step of a transaction.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Write a value.
    Set(SetRequest),
    /// Remove a key.
    Delete(DeleteRequest),
}

impl Operation {
    /// The key concerned.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Set(request) => &request.key,
            Self::Delete(request) => &request.key,
        }
    }
}

fn check_etag(
    key: &str,
    given: Option<&Etag>,
    concurrency: Concurrency,
    current: Option<&Etag>,
) -> Result<()> {
    let allowed = match (given.filter(|etag| !etag.0.is_empty()), current) {
        (Some(given), current) => current == Some(given),
        (None, Some(_)) => concurrency != Concurrency::FirstWrite,
        (None, None) => true,
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::etag_mismatch(key))
    }
}

/// An empty key is nobody's: every store refuses it with the same words.
///
/// # Errors
/// [`InvalidRequest`](ErrorKind::InvalidRequest) for an empty key; `operation` is `get`, `set` or `delete`.
pub fn require_key(key: &str, operation: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("missing key in {operation} operation"),
        ));
    }
    Ok(())
}
