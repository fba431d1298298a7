//! The answers to queries: an array of RESP2, or a map of RESP3.

use dapr_pluggable::state::{Etag, QueryItem, QueryPage};
use dapr_pluggable::{Bytes, Error, Result};
use redis::Value;

/// The page in an answer; `offset` is where it begins, if it is one of several.
pub(in super::super) fn page(answer: Value, offset: Option<u64>) -> Result<QueryPage> {
    let items = match answer {
        Value::Array(items) => of_array(items),
        Value::Map(members) => of_map(members),
        other => Err(unexpected(&other)),
    }?;
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let next = offset.filter(|_| count > 0);
    let token = next.map(|offset| offset.saturating_add(count).to_string());
    Ok(QueryPage::new(items, token))
}

/// The number of all results, then for each its key and an array of its members.
fn of_array(items: Vec<Value>) -> Result<Vec<QueryItem>> {
    let mut items = items.into_iter().skip(1);
    let mut found = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(members)) = (items.next(), items.next()) {
        let members = match members {
            Value::Array(members) => pairs(members),
            Value::Map(members) => members,
            _ => Vec::new(),
        };
        found.push(item(text(key)?, members));
    }
    Ok(found)
}

/// A map with an array of results, each a map of its key and a map of its members.
fn of_map(members: Vec<(Value, Value)>) -> Result<Vec<QueryItem>> {
    let Some(results) = member(members, "results") else {
        return Err(Error::internal("an answer to FT.SEARCH without results"));
    };
    let Value::Array(results) = results else {
        return Err(unexpected(&results));
    };
    let mut found = Vec::with_capacity(results.len());
    for result in results {
        let Value::Map(result) = result else {
            return Err(unexpected(&result));
        };
        let (mut key, mut members) = (None, Vec::new());
        for (name, value) in result {
            match (bytes(&name), value) {
                (Some(b"id"), id) => key = Some(text(id)?),
                (Some(b"extra_attributes"), Value::Map(attributes)) => members = attributes,
                _ => {}
            }
        }
        let key = key.ok_or_else(|| Error::internal("a result of FT.SEARCH without a key"))?;
        found.push(item(key, members));
    }
    Ok(found)
}

fn item(key: String, members: Vec<(Value, Value)>) -> QueryItem {
    let (mut data, mut etag) = (None, None);
    for (name, value) in members {
        match (bytes(&name), bytes(&value)) {
            (Some(b"$.data"), Some(value)) => data = Some(Bytes::copy_from_slice(value)),
            (Some(b"$.version"), Some(value)) => {
                etag = Some(Etag::new(String::from_utf8_lossy(value)));
            }
            _ => {}
        }
    }
    let has_data = data.is_some();
    let mut item = QueryItem::new(key, data.unwrap_or_default(), etag);
    if !has_data {
        item.error = Some("the document has no member \"data\"".to_owned());
    }
    item
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((name, value));
    }
    pairs
}

fn member(members: Vec<(Value, Value)>, name: &str) -> Option<Value> {
    let found = members
        .into_iter()
        .find(|(key, _)| bytes(key) == Some(name.as_bytes()));
    found.map(|(_, value)| value)
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        Value::VerbatimString { text, .. } => Some(text.as_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Result<String> {
    let text = bytes(&value).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    text.ok_or_else(|| unexpected(&value))
}

fn unexpected(value: &Value) -> Error {
    Error::internal(format!("an answer to FT.SEARCH with {value:?}"))
}
