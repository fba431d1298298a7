//! The document that a value of content type JSON is kept in, where the server has RedisJSON:
//! `{"data": …, "version": 1}`, with `"first-write": 0` where its last write was a first-write.

use bytes::Bytes;
use dapr_pluggable::state::{Entry, Etag};
use dapr_pluggable::{Error, Metadata, Result};
use redis::{RedisError, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

const JSON: &str = "application/json";

/// Whether a content type is that of JSON, spelled exactly so: as Dapr's own component reads it.
pub(super) fn is_json(content_type: Option<&str>) -> bool {
    content_type == Some(JSON)
}

/// Whether metadata name that content type.
pub(super) fn is_named_in(metadata: &Metadata) -> bool {
    is_json(metadata.get("contentType"))
}

/// The command that a server with RedisJSON answers with an error about its arguments, and another with one that it does
/// not know it.
pub(super) fn probe() -> redis::Cmd {
    redis::cmd("JSON.GET")
}

/// Whether that was the answer of a server without RedisJSON.
pub(super) fn is_unknown_command(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.starts_with("unknown command"))
}

/// The document of a value, which the script still has to close with a version.
pub(super) fn document(key: &str, value: &[u8]) -> Result<Vec<u8>> {
    const HEAD: &[u8] = br#"{"data":"#;
    let mut document = Vec::with_capacity(HEAD.len() + value.len() + 1);
    document.extend_from_slice(HEAD);
    document.extend_from_slice(value);
    document.push(b'}');
    // The whole is read: one more level counts against the depth that the server allows, too. What is no document by
    // itself, such as `1,"version":2`, must not become one here.
    let checked = serde_json::from_slice::<serde_json::Value>(value)
        .and_then(|_| serde_json::from_slice::<serde_json::Value>(&document));
    checked.map_err(|error| {
        Error::invalid_request(format!(
            "failed to set key {key}: its content type is {JSON}, and its value is not: {error}"
        ))
    })?;
    document.pop();
    Ok(document)
}

/// The command that reads the document of a key.
pub(super) fn read(key: &str) -> redis::Cmd {
    let mut command = redis::cmd("JSON.GET");
    command.arg(key);
    command
}

/// The value in the answer to [`read`], if there is one.
pub(super) fn entry(key: &str, answer: Value) -> Result<Option<Entry>> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
        version: i64,
    }

    let text = match &answer {
        Value::Nil => return Ok(None),
        Value::BulkString(text) => text.as_slice(),
        Value::SimpleString(text) => text.as_bytes(),
        other => {
            return Err(Error::internal(format!(
                "key {key:?}: unexpected {other:?}"
            )));
        }
    };
    let document: Document<'_> = serde_json::from_slice(text).map_err(|error| {
        Error::internal(format!(
            "key {key:?}: required members \"data\" and \"version\" were not found: {error}"
        ))
    })?;
    let data = Bytes::copy_from_slice(document.data.get().as_bytes());
    let etag = Etag::new(document.version.to_string());
    Ok(Some(Entry::new(data).with_etag(etag)))
}
