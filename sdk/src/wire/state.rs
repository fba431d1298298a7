//! The state store's messages. Queries are in [`query`](super::query).

use std::num::NonZeroU32;

use dapr_pluggable_protocol::components::v1 as proto;
use proto::state_options::{StateConcurrency, StateConsistency};
use proto::transactional_state_operation::Request;

use super::{Wire, feature_list, non_empty, take_feature};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::Metadata;
use crate::state::{
    BulkEntry, Concurrency, Consistency, DeleteRequest, Entry, Etag, GetRequest, Operation,
    Parallelism, SetRequest, StateClaims,
};

const ETAG: &str = "ETAG";
const TRANSACTIONAL: &str = "TRANSACTIONAL";
const TTL: &str = "TTL";
pub(crate) const QUERY_API: &str = "QUERY_API";

/// What an instance of a state store can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) claims: StateClaims,
    /// Whether it has transactions.
    pub(crate) transactional: bool,
    /// Whether it has queries.
    pub(crate) queryable: bool,
}

impl Wire for Features {
    type Message = proto::FeaturesResponse;

    fn from_wire(proto::FeaturesResponse { mut features }: Self::Message) -> Result<Self> {
        let mut take = |name| take_feature(&mut features, name);
        let (etag, ttl) = (take(ETAG), take(TTL));
        let (transactional, queryable) = (take(TRANSACTIONAL), take(QUERY_API));
        Ok(Self {
            claims: StateClaims {
                etag,
                ttl,
                other: features,
            },
            transactional,
            queryable,
        })
    }

    fn into_wire(self) -> Self::Message {
        let known = [
            (ETAG, self.claims.etag),
            (TRANSACTIONAL, self.transactional),
            (TTL, self.claims.ttl),
            (QUERY_API, self.queryable),
        ];
        feature_list(known, self.claims.other)
    }
}

impl Wire for GetRequest {
    type Message = proto::GetRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            consistency: consistency(message.consistency),
            key: message.key,
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::GetRequest {
            key: self.key,
            metadata: self.metadata.into_map(),
            consistency: write_consistency(self.consistency),
        }
    }
}

/// The answer to a get. The wire has no word for "no value": it is an answer with nothing in it, so an empty value without
/// etag, metadata and content type reads as none.
impl Wire for Option<Entry> {
    type Message = proto::GetResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(entry(
            message.data,
            message.etag,
            Metadata::from(message.metadata),
            message.content_type,
        ))
    }

    fn into_wire(self) -> Self::Message {
        self.map_or_else(proto::GetResponse::default, |entry| proto::GetResponse {
            data: entry.value,
            etag: write_etag(entry.etag),
            metadata: entry.metadata.into_map(),
            content_type: entry.content_type.unwrap_or_default(),
        })
    }
}

impl Wire for SetRequest {
    type Message = proto::SetRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let (concurrency, consistency) = options(message.options);
        Ok(Self {
            key: message.key,
            value: message.value,
            etag: etag(message.etag),
            metadata: Metadata::from(message.metadata),
            concurrency,
            consistency,
            content_type: non_empty(message.content_type),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::SetRequest {
            key: self.key,
            value: self.value,
            etag: write_etag(self.etag),
            metadata: self.metadata.into_map(),
            options: write_options(self.concurrency, self.consistency),
            content_type: self.content_type.unwrap_or_default(),
        }
    }
}

impl Wire for DeleteRequest {
    type Message = proto::DeleteRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let (concurrency, consistency) = options(message.options);
        Ok(Self {
            key: message.key,
            etag: etag(message.etag),
            metadata: Metadata::from(message.metadata),
            concurrency,
            consistency,
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::DeleteRequest {
            key: self.key,
            etag: write_etag(self.etag),
            metadata: self.metadata.into_map(),
            options: write_options(self.concurrency, self.consistency),
        }
    }
}

impl Wire for (Vec<GetRequest>, Parallelism) {
    type Message = proto::BulkGetRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let parallelism = message.options.map_or(0, |options| options.parallelism);
        Ok((read_all(message.items)?, Parallelism::new(parallelism)))
    }

    fn into_wire(self) -> Self::Message {
        let (requests, parallelism) = self;
        proto::BulkGetRequest {
            items: write_all(requests),
            options: Some(proto::BulkGetRequestOptions {
                parallelism: parallelism.raw(),
            }),
        }
    }
}

/// The answers to several gets. An item's error is a text: its kind does not travel.
impl Wire for Vec<BulkEntry> {
    type Message = proto::BulkGetResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        read_all(message.items)
    }

    fn into_wire(self) -> Self::Message {
        proto::BulkGetResponse {
            items: write_all(self),
        }
    }
}

impl Wire for BulkEntry {
    type Message = proto::BulkStateItem;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let outcome = match non_empty(message.error) {
            Some(error) => Err(Error::new(ErrorKind::Internal, error)),
            None => Ok(entry(
                message.data,
                message.etag,
                Metadata::from(message.metadata),
                message.content_type,
            )),
        };
        Ok(Self {
            key: message.key,
            outcome,
        })
    }

    fn into_wire(self) -> Self::Message {
        let key = self.key;
        match self.outcome {
            Ok(None) => proto::BulkStateItem {
                key,
                ..Default::default()
            },
            Ok(Some(entry)) => proto::BulkStateItem {
                key,
                data: entry.value,
                etag: write_etag(entry.etag),
                error: String::new(),
                metadata: entry.metadata.into_map(),
                content_type: entry.content_type.unwrap_or_default(),
            },
            Err(error) => proto::BulkStateItem {
                key,
                // An empty text would say that all is well.
                error: non_empty(error.message().to_owned())
                    .unwrap_or_else(|| error.kind().as_str().to_owned()),
                ..Default::default()
            },
        }
    }
}

impl Wire for (Vec<SetRequest>, Parallelism) {
    type Message = proto::BulkSetRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let parallelism = message.options.map_or(0, |options| options.parallelism);
        Ok((read_all(message.items)?, Parallelism::new(parallelism)))
    }

    fn into_wire(self) -> Self::Message {
        let (requests, parallelism) = self;
        proto::BulkSetRequest {
            items: write_all(requests),
            options: Some(proto::BulkSetRequestOptions {
                parallelism: parallelism.raw(),
            }),
        }
    }
}

impl Wire for (Vec<DeleteRequest>, Parallelism) {
    type Message = proto::BulkDeleteRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let parallelism = message.options.map_or(0, |options| options.parallelism);
        Ok((read_all(message.items)?, Parallelism::new(parallelism)))
    }

    fn into_wire(self) -> Self::Message {
        let (requests, parallelism) = self;
        proto::BulkDeleteRequest {
            items: write_all(requests),
            options: Some(proto::BulkDeleteRequestOptions {
                parallelism: parallelism.raw(),
            }),
        }
    }
}

impl Wire for (Vec<Operation>, Metadata) {
    type Message = proto::TransactionalStateRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let operations = message.operations.into_iter().enumerate();
        let operations = operations.map(|(index, operation)| match operation.request {
            Some(Request::Set(request)) => SetRequest::from_wire(request).map(Operation::Set),
            Some(Request::Delete(request)) => {
                DeleteRequest::from_wire(request).map(Operation::Delete)
            }
            None => Err(Error::invalid_request(format!(
                "operation {} of the transaction is neither a set nor a delete",
                index + 1
            ))),
        });
        Ok((
            operations.collect::<Result<_>>()?,
            Metadata::from(message.metadata),
        ))
    }

    fn into_wire(self) -> Self::Message {
        let (operations, metadata) = self;
        let operations = operations.into_iter().map(|operation| match operation {
            Operation::Set(request) => Request::Set(request.into_wire()),
            Operation::Delete(request) => Request::Delete(request.into_wire()),
        });
        proto::TransactionalStateRequest {
            operations: operations
                .map(|request| proto::TransactionalStateOperation {
                    request: Some(request),
                })
                .collect(),
            metadata: metadata.into_map(),
        }
    }
}

/// How many operations a transaction may have; on the wire, no limit is -1, as the runtime has it.
impl Wire for Option<NonZeroU32> {
    type Message = proto::MultiMaxSizeResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let limit = message.max_size.clamp(0, i64::from(u32::MAX));
        Ok(u32::try_from(limit).ok().and_then(NonZeroU32::new))
    }

    fn into_wire(self) -> Self::Message {
        proto::MultiMaxSizeResponse {
            max_size: self.map_or(-1, |limit| i64::from(limit.get())),
        }
    }
}

pub(super) fn etag(message: Option<proto::Etag>) -> Option<Etag> {
    message.map(|etag| Etag::new(etag.value))
}

pub(super) fn write_etag(etag: Option<Etag>) -> Option<proto::Etag> {
    etag.map(|etag| proto::Etag {
        value: etag.into_string(),
    })
}

pub(super) fn read_all<T: Wire>(messages: Vec<T::Message>) -> Result<Vec<T>> {
    messages.into_iter().map(T::from_wire).collect()
}

pub(super) fn write_all<T: Wire>(values: Vec<T>) -> Vec<T::Message> {
    values.into_iter().map(T::into_wire).collect()
}

fn entry(
    value: bytes::Bytes,
    etag: Option<proto::Etag>,
    metadata: Metadata,
    content_type: String,
) -> Option<Entry> {
    let nothing =
        value.is_empty() && etag.is_none() && metadata.is_empty() && content_type.is_empty();
    (!nothing).then(|| Entry {
        value,
        etag: self::etag(etag),
        metadata,
        content_type: non_empty(content_type),
    })
}

fn options(message: Option<proto::StateOptions>) -> (Concurrency, Consistency) {
    let message = message.unwrap_or_default();
    let concurrency = match StateConcurrency::try_from(message.concurrency) {
        Ok(StateConcurrency::ConcurrencyFirstWrite) => Concurrency::FirstWrite,
        Ok(StateConcurrency::ConcurrencyLastWrite) => Concurrency::LastWrite,
        Ok(StateConcurrency::ConcurrencyUnspecified) | Err(_) => Concurrency::Unspecified,
    };
    (concurrency, consistency(message.consistency))
}

fn write_options(
    concurrency: Concurrency,
    consistency: Consistency,
) -> Option<proto::StateOptions> {
    let concurrency = match concurrency {
        Concurrency::Unspecified => StateConcurrency::ConcurrencyUnspecified,
        Concurrency::FirstWrite => StateConcurrency::ConcurrencyFirstWrite,
        Concurrency::LastWrite => StateConcurrency::ConcurrencyLastWrite,
    };
    // The runtime always sends the message, even empty.
    Some(proto::StateOptions {
        concurrency: concurrency.into(),
        consistency: write_consistency(consistency),
    })
}

fn consistency(value: i32) -> Consistency {
    match StateConsistency::try_from(value) {
        Ok(StateConsistency::ConsistencyEventual) => Consistency::Eventual,
        Ok(StateConsistency::ConsistencyStrong) => Consistency::Strong,
        Ok(StateConsistency::ConsistencyUnspecified) | Err(_) => Consistency::Unspecified,
    }
}

fn write_consistency(consistency: Consistency) -> i32 {
    let consistency = match consistency {
        Consistency::Unspecified => StateConsistency::ConsistencyUnspecified,
        Consistency::Eventual => StateConsistency::ConsistencyEventual,
        Consistency::Strong => StateConsistency::ConsistencyStrong,
    };
    consistency.into()
}
