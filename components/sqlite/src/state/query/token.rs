//! Page tokens: where a page ended.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dapr_pluggable::{Error, Result};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

/// The last row of a page: the rank and the value of each sort key, and the key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Position {
    #[serde(rename = "v")]
    pub(super) values: Vec<(i64, Mark)>,
    #[serde(rename = "k")]
    pub(super) key: String,
}

impl Position {
    /// Reads the token of a page of a query with so many sort keys.
    pub(super) fn read(token: &str, sorts: usize) -> Result<Self> {
        URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|json| serde_json::from_slice::<Self>(&json).ok())
            .filter(|position| position.values.len() == sorts)
            .ok_or_else(|| {
                Error::invalid_request(format!(
                    "invalid page token {token:?}: expected the token of a page of the same query"
                ))
            })
    }

    /// The token.
    pub(super) fn write(&self) -> Result<String> {
        let json = serde_json::to_vec(self)
            .map_err(|error| Error::internal("cannot write a page token").with_source(error))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }
}

/// The value of a sort key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Mark {
    #[serde(rename = "n")]
    Null,
    #[serde(rename = "i")]
    Integer(i64),
    /// The bits of a floating-point number: as decimal digits it might come back as its neighbour.
    #[serde(rename = "r")]
    Real(u64),
    #[serde(rename = "t")]
    Text(String),
}

impl From<Value> for Mark {
    fn from(value: Value) -> Self {
        match value {
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value.to_bits()),
            Value::Text(value) => Self::Text(value),
            // The members of JSON text are never blobs.
            Value::Null | Value::Blob(_) => Self::Null,
        }
    }
}

impl From<Mark> for Value {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Null => Self::Null,
            Mark::Integer(value) => Self::Integer(value),
            Mark::Real(bits) => Self::Real(f64::from_bits(bits)),
            Mark::Text(value) => Self::Text(value),
        }
    }
}
