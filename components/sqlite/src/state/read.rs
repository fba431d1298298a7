//! Get and bulk get.

use std::collections::HashMap;

use dapr_pluggable::state::{BulkEntry, Entry, Etag, require_key};
use dapr_pluggable::{Error, Metadata};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::schema::{LIVE, Tables};
use super::value;
use crate::error::Fault;

/// How many keys one query asks for.
const KEYS: usize = 1024;

/// The value of a key.
pub(super) fn one(
    connection: &Connection,
    tables: &Tables,
    key: &str,
) -> Result<Option<Entry>, Fault> {
    let row = connection
        .prepare_cached(&tables.get)?
        .query_row([key], |row| entry(row, key, 0))
        .optional()?;
    Ok(row.transpose()?)
}

/// The values of many keys, in their order. A key may come more than once.
pub(super) fn many(
    connection: &Connection,
    tables: &Tables,
    keys: &[String],
) -> Result<Vec<BulkEntry>, Fault> {
    let mut found: HashMap<String, Result<Entry, Error>> = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        // A statement a power of two, so that few are prepared; what is too much stays NULL, which equals no key.
        let places = keys.len().next_power_of_two();
        let sql = format!(
            "SELECT key, value, is_binary, etag, strftime('%Y-%m-%dT%H:%M:%SZ', expiration_time) \
             FROM {} WHERE key IN ({}?) AND {LIVE}",
            tables.state,
            "?,".repeat(places - 1)
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let places = (0..places).map(|place| keys.get(place));
        let mut rows = statement.query(params_from_iter(places))?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let entry = entry(row, &key, 1)?;
            found.insert(key, entry);
        }
    }
    let answer = |key: &String| {
        let outcome = require_key(key, "get").and_then(|()| match found.get(key) {
            None => Ok(None),
            Some(Ok(entry)) => Ok(Some(entry.clone())),
            Some(Err(error)) => Err(Error::new(error.kind().clone(), error.message())),
        });
        BulkEntry::new(key.as_str(), outcome)
    };
    Ok(keys.iter().map(answer).collect())
}

/// The entry in the columns from `first`: value, form, etag, expiry.
fn entry(row: &Row<'_>, key: &str, first: usize) -> rusqlite::Result<Result<Entry, Error>> {
    let is_binary: bool = row.get(first + 1)?;
    let column = match row.get_ref(first)? {
        ValueRef::Text(column) | ValueRef::Blob(column) => column,
        _ => {
            return Ok(Err(Error::internal(format!(
                "the row of key {key:?} has a value that is no text"
            ))));
        }
    };
    let value = match value::restore(key, column, is_binary) {
        Ok(value) => value,
        Err(error) => return Ok(Err(error)),
    };
    let etag: String = row.get(first + 2)?;
    let expiry: Option<String> = row.get(first + 3)?;
    let metadata: Metadata = expiry
        .map(|expiry| ("ttlExpireTime", expiry))
        .into_iter()
        .collect();
    Ok(Ok(Entry::new(value)
        .with_etag(Etag::new(etag))
        .with_metadata(metadata)))
}
