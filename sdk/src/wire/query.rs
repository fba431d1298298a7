//! The messages of state queries. A filter is a map of one operator to its argument, raw JSON in an `Any` without type.

use std::collections::HashMap;
use std::num::NonZeroU32;

use dapr_pluggable_protocol::components::v1 as proto;
use prost_types::Any;
use proto::sorting::Order as WireOrder;

use super::state::{etag, read_all, write_all, write_etag};
use super::{Wire, non_empty};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::state::{Filter, Order, Page, Query, QueryItem, QueryPage, Sort};

impl Wire for Query {
    type Message = proto::QueryRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let query = message
            .query
            .ok_or_else(|| Error::invalid_request("the request has no query"))?;
        Ok(Self {
            filter: filter(query.filter)?,
            sort: read_all(query.sort)?,
            page: query
                .pagination
                .map(Page::from_wire)
                .transpose()?
                .unwrap_or_default(),
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        let filter = self.filter.map(|filter| {
            let (operator, argument) = filter.to_operator();
            let argument = Any {
                type_url: String::new(),
                value: argument.to_string().into_bytes(),
            };
            (operator.to_owned(), argument)
        });
        proto::QueryRequest {
            query: Some(proto::Query {
                filter: filter.into_iter().collect(),
                sort: write_all(self.sort),
                pagination: Some(self.page.into_wire()),
            }),
            metadata: self.metadata.into_map(),
        }
    }
}

impl Wire for Sort {
    type Message = proto::Sorting;

    /// An order that we do not know is ascending: so reads the runtime any text but `DESC`.
    fn from_wire(message: Self::Message) -> Result<Self> {
        let order = match WireOrder::try_from(message.order) {
            Ok(WireOrder::Desc) => Order::Descending,
            Ok(WireOrder::Asc) | Err(_) => Order::Ascending,
        };
        Ok(Self {
            path: message.key,
            order,
        })
    }

    fn into_wire(self) -> Self::Message {
        let order = match self.order {
            Order::Ascending => WireOrder::Asc,
            Order::Descending => WireOrder::Desc,
        };
        proto::Sorting {
            key: self.path,
            order: order.into(),
        }
    }
}

impl Wire for Page {
    type Message = proto::Pagination;

    /// A limit of zero or less is none, as Dapr's own stores have it.
    fn from_wire(message: Self::Message) -> Result<Self> {
        let limit = message.limit.clamp(0, i64::from(u32::MAX));
        Ok(Self {
            limit: u32::try_from(limit).ok().and_then(NonZeroU32::new),
            token: non_empty(message.token),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::Pagination {
            limit: self.limit.map_or(0, |limit| i64::from(limit.get())),
            token: self.token.unwrap_or_default(),
        }
    }
}

impl Wire for QueryPage {
    type Message = proto::QueryResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            items: read_all(message.items)?,
            token: non_empty(message.token),
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::QueryResponse {
            items: write_all(self.items),
            token: self.token.unwrap_or_default(),
            metadata: self.metadata.into_map(),
        }
    }
}

impl Wire for QueryItem {
    type Message = proto::QueryItem;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            key: message.key,
            value: message.data,
            etag: etag(message.etag),
            error: non_empty(message.error),
            content_type: non_empty(message.content_type),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::QueryItem {
            key: self.key,
            data: self.value,
            etag: write_etag(self.etag),
            error: self.error.unwrap_or_default(),
            content_type: self.content_type.unwrap_or_default(),
        }
    }
}

fn filter(operators: HashMap<String, Any>) -> Result<Option<Filter>> {
    if operators.len() > 1 {
        let mut names: Vec<String> = operators.into_keys().collect();
        names.sort_unstable();
        return Err(Error::invalid_request(format!(
            "the filter has {} operators, {}: expected one",
            names.len(),
            names.join(" and ")
        )));
    }
    let Some((operator, argument)) = operators.into_iter().next() else {
        return Ok(None);
    };
    let argument = serde_json::from_slice(&argument.value).map_err(|error| {
        Error::invalid_request(format!("the filter {operator:?} is not JSON: {error}"))
            .with_source(error)
    })?;
    Filter::from_operator(&operator, &argument).map(Some)
}
