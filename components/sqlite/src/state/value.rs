//! How a value is kept in a text column.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dapr_pluggable::{Bytes, Error};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use serde::de::IgnoredAny;

/// A value as its row has it.
#[derive(Debug)]
pub(super) enum Stored {
    /// JSON text, as it came: `is_binary` 0.
    Json(Bytes),
    /// Anything else, in base64: `is_binary` 1.
    Binary(String),
}

impl Stored {
    /// Chooses the form. What comes back is what went in, byte for byte, in either.
    pub(super) fn new(value: Bytes) -> Self {
        match std::str::from_utf8(&value) {
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Self::Json(value),
            _ => Self::Binary(STANDARD.encode(&value)),
        }
    }

    /// For the column `value`.
    pub(super) fn text(&self) -> ToSqlOutput<'_> {
        match self {
            Self::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
            Self::Binary(base64) => ToSqlOutput::from(base64.as_str()),
        }
    }

    /// For the column `is_binary`.
    pub(super) fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }
}

/// The bytes of a value that were given, from the column.
pub(super) fn restore(key: &str, column: &[u8], is_binary: bool) -> Result<Bytes, Error> {
    if !is_binary {
        return Ok(Bytes::copy_from_slice(column));
    }
    STANDARD.decode(column).map(Bytes::from).map_err(|error| {
        Error::internal(format!(
            "the row of key {key:?} is marked as binary and is not base64"
        ))
        .with_source(error)
    })
}

/// The JSON text in base64, if it is one.
pub(super) fn json_of_base64(column: &[u8]) -> Value {
    STANDARD
        .decode(column)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map_or(Value::Null, Value::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(value: &[u8]) -> (bool, Bytes) {
        let stored = Stored::new(Bytes::copy_from_slice(value));
        let ToSqlOutput::Borrowed(ValueRef::Text(text)) = stored.text() else {
            panic!("not text: {stored:?}");
        };
        let is_binary = stored.is_binary();
        (is_binary, restore("k", text, is_binary).unwrap())
    }

    #[test]
    fn json_stays_as_it_is() {
        for value in [
            "1",
            " {\"b\": 1.0, \"a\": [] }\n",
            "\"\u{fc}\"",
            "null",
            "\"\\u0000\"",
        ] {
            assert_eq!(round_trip(value.as_bytes()), (false, Bytes::from(value)));
        }
        for value in ["", "hello", "{", "01", "\u{feff}1", "1\0"] {
            assert_eq!(round_trip(value.as_bytes()), (true, Bytes::from(value)));
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(round_trip(&value).1, Bytes::from(value));
        }
    }
}
