//! The hash that a value is kept in: field `data` has its bytes, `version` the number of its writes, and `first-write` is
//! there once it was written by a first-write.

use bytes::Bytes;
use dapr_pluggable::state::{Entry, Etag};
use dapr_pluggable::{Error, Result};
use redis::Value;

/// The command that reads the hash of a key.
pub(super) fn read(key: &str) -> redis::Cmd {
    let mut command = redis::cmd("HGETALL");
    command.arg(key);
    command
}

/// The value in the answer to [`read`], if there is one.
pub(super) fn entry(key: &str, answer: Value) -> Result<Option<Entry>> {
    let mut fields = Fields::default();
    match answer {
        Value::Map(pairs) if pairs.is_empty() => return Ok(None),
        Value::Map(pairs) => pairs
            .into_iter()
            .for_each(|(name, value)| fields.take(&name, value)),
        Value::Array(items) if items.is_empty() => return Ok(None),
        Value::Array(items) => {
            let mut items = items.into_iter();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                fields.take(&name, value);
            }
        }
        other => {
            return Err(Error::internal(format!(
                "key {key:?}: unexpected {other:?}"
            )));
        }
    }
    let (Some(data), Some(version)) = (fields.data, fields.version) else {
        return Err(Error::internal(format!(
            "key {key:?}: required hash field 'data' or 'version' was not found"
        )));
    };
    Ok(Some(Entry::new(Bytes::from(data)).with_etag(version)))
}

#[derive(Default)]
struct Fields {
    data: Option<Vec<u8>>,
    version: Option<Etag>,
}

impl Fields {
    fn take(&mut self, name: &Value, value: Value) {
        let (Value::BulkString(name), Value::BulkString(value)) = (name, value) else {
            return;
        };
        match name.as_slice() {
            b"data" => self.data = Some(value),
            b"version" => self.version = Some(Etag::new(String::from_utf8_lossy(&value))),
            _ => {}
        }
    }
}
