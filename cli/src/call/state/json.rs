//! The JSON of transactions and queries, as Dapr's HTTP API has it, and of answers.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dapr_pluggable::state::{
    Concurrency, Consistency, DeleteRequest, Entry, Etag, Filter, Operation, Order,
    Page as QueryPart, Query, QueryPage, SetRequest, Sort,
};
use dapr_pluggable::{Error, Metadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::payload::{Payload, sorted};

/// The body of a transaction.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction {
    operations: Vec<Step>,
    #[serde(default)]
    metadata: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    operation: String,
    request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    key: String,
    #[serde(default)]
    value: Option<Box<RawValue>>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    metadata: Option<HashMap<String, String>>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    options: Option<Options>,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    concurrency: Option<String>,
    #[serde(default)]
    consistency: Option<String>,
}

impl Transaction {
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("read the transaction, {\"operations\":[…]}")
    }

    pub(super) fn into_parts(self) -> Result<(Vec<Operation>, Metadata)> {
        let operations = self.operations.into_iter().map(Step::into_operation);
        let metadata = self.metadata.unwrap_or_default().into();
        Ok((operations.collect::<Result<_>>()?, metadata))
    }
}

impl Step {
    fn into_operation(self) -> Result<Operation> {
        let request = self.request;
        let options = request.options.unwrap_or_default();
        let concurrency = match options.concurrency.as_deref() {
            None | Some("") => Concurrency::Unspecified,
            Some("first-write") => Concurrency::FirstWrite,
            Some("last-write") => Concurrency::LastWrite,
            Some(other) => bail!("the concurrency {other:?} is neither first-write nor last-write"),
        };
        let consistency = match options.consistency.as_deref() {
            None | Some("") => Consistency::Unspecified,
            Some("eventual") => Consistency::Eventual,
            Some("strong") => Consistency::Strong,
            Some(other) => bail!("the consistency {other:?} is neither eventual nor strong"),
        };
        let etag = request.etag.map(Etag::new);
        let metadata = request.metadata.unwrap_or_default().into();
        match self.operation.as_str() {
            "upsert" => {
                let value = match (request.value, request.base64) {
                    (Some(value), None) => Bytes::copy_from_slice(value.get().as_bytes()),
                    (None, Some(base64)) => {
                        let bytes = STANDARD.decode(base64);
                        bytes
                            .with_context(|| format!("read the base64 of {:?}", request.key))?
                            .into()
                    }
                    _ => bail!(
                        "the upsert of {:?} needs either \"value\" or \"base64\"",
                        request.key
                    ),
                };
                let mut set = SetRequest::new(request.key, value);
                set.etag = etag;
                set.metadata = metadata;
                set.concurrency = concurrency;
                set.consistency = consistency;
                set.content_type = request.content_type;
                Ok(Operation::Set(set))
            }
            "delete" => {
                let mut delete = DeleteRequest::new(request.key);
                delete.etag = etag;
                delete.metadata = metadata;
                delete.concurrency = concurrency;
                delete.consistency = consistency;
                Ok(Operation::Delete(delete))
            }
            other => bail!("the operation {other:?} is neither upsert nor delete"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct QueryBody {
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    sort: Option<Vec<SortBody>>,
    #[serde(default)]
    page: Option<PageBody>,
}

#[derive(Debug, Deserialize)]
struct SortBody {
    key: String,
    #[serde(default)]
    order: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct PageBody {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    token: Option<String>,
}

/// Reads the body of a query.
pub(super) fn query(json: &[u8]) -> Result<Query> {
    let body: QueryBody =
        serde_json::from_slice(json).context("read the query, {\"filter\":{…}}")?;
    let mut query = Query::default();
    if let Some(filter) = &body.filter {
        query.filter = Filter::from_json(filter).context("read the filter")?;
    }
    for sort in body.sort.unwrap_or_default() {
        let order = match sort.order.as_deref() {
            None | Some("" | "ASC") => Order::Ascending,
            Some("DESC") => Order::Descending,
            Some(other) => bail!(
                "the order {other:?} of {:?} is neither ASC nor DESC",
                sort.key
            ),
        };
        query.sort.push(Sort::new(sort.key, order));
    }
    let page = body.page.unwrap_or_default();
    let limit = page.limit.unwrap_or(0);
    query.page = match page.token.filter(|token| !token.is_empty()) {
        Some(token) => QueryPart::after(limit, token),
        None => QueryPart::first(limit),
    };
    Ok(query)
}

/// A key and what there is of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Item<'a> {
    key: &'a str,
    found: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    value: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Item<'a> {
    pub(super) fn new(key: &'a str, outcome: Result<Option<&'a Entry>, &Error>) -> Self {
        let item = Self {
            key,
            ..Self::default()
        };
        match outcome {
            Ok(None) => item,
            Ok(Some(entry)) => Self {
                found: true,
                value: Some(Payload::new(&entry.value)),
                etag: entry.etag.as_ref().map(Etag::as_str),
                metadata: sorted(&entry.metadata),
                content_type: entry.content_type.as_deref(),
                ..item
            },
            Err(error) => Self {
                error: Some(error.to_string()),
                ..item
            },
        }
    }
}

/// A page of a query's result.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    items: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

impl<'a> Page<'a> {
    pub(super) fn new(page: &'a QueryPage) -> Self {
        let items = page.items.iter().map(|item| Item {
            key: &item.key,
            found: item.error.is_none(),
            value: item.error.is_none().then(|| Payload::new(&item.value)),
            etag: item.etag.as_ref().map(Etag::as_str),
            content_type: item.content_type.as_deref(),
            error: item.error.clone(),
            ..Item::default()
        });
        Self {
            items: items.collect(),
            token: page.token.as_deref(),
            metadata: sorted(&page.metadata),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_transaction_keep_their_text() {
        let json = br#"{"operations":[
            {"operation":"upsert","request":{"key":"a","value": {"z":1.50, "a":[]},"etag":"1",
                "options":{"concurrency":"first-write"}}},
            {"operation":"upsert","request":{"key":"b","base64":"AP8="}},
            {"operation":"delete","request":{"key":"c"}}],"metadata":null}"#;
        let parts = Transaction::parse(json).unwrap().into_parts().unwrap();
        let mut first = SetRequest::new("a", r#"{"z":1.50, "a":[]}"#);
        first.etag = Some(Etag::new("1"));
        first.concurrency = Concurrency::FirstWrite;
        let expected = vec![
            Operation::Set(first),
            Operation::Set(SetRequest::new("b", vec![0, 255])),
            Operation::Delete(DeleteRequest::new("c")),
        ];
        assert_eq!(parts, (expected, Metadata::new()));
    }

    #[test]
    fn what_is_wrong_with_a_transaction_is_named() {
        for (operation, why) in [
            (r#"{"operation":"set","request":{"key":"a"}}"#, "\"set\""),
            (
                r#"{"operation":"upsert","request":{"key":"a"}}"#,
                "\"base64\"",
            ),
            (
                r#"{"operation":"delete","request":{"key":"a","options":{"consistency":"x"}}}"#,
                "\"x\"",
            ),
        ] {
            let json = format!("{{\"operations\":[{operation}]}}");
            let transaction = Transaction::parse(json.as_bytes()).unwrap();
            let error = transaction.into_parts().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_query_is_read_as_dapr_writes_it() {
        let json =
            br#"{"filter":{"EQ":{"state":"CA"}},"sort":[{"key":"a"},{"key":"b","order":"DESC"}],
            "page":{"limit":3,"token":"t"}}"#;
        let query = query(json).unwrap();
        assert_eq!(
            query.filter,
            Some(Filter::Equal("state".to_owned(), "CA".into()))
        );
        assert_eq!(
            query.sort,
            [
                Sort::new("a", Order::Ascending),
                Sort::new("b", Order::Descending)
            ]
        );
        assert_eq!(query.page, QueryPart::after(3, "t"));
        assert_eq!(super::query(b"{}").unwrap(), Query::default());
    }
}
