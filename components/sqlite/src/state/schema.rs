//! The tables of the state store, as Dapr's own component creates them, and the statements on them.

use rusqlite::Connection;

use crate::schema::{LEVEL, Schema};
use crate::settings::SqliteStateSettings;

/// Every statement on the tables. The names were checked to be nothing but names.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) state: String,
    metadata: String,
    /// Value and form, etag and expiry of a live row; by key.
    pub(super) get: String,
    /// Over whatever is there.
    pub(super) put: String,
    /// Only where no live row is.
    pub(super) put_first: String,
    /// Only over a live row with an etag.
    pub(super) put_over: String,
    pub(super) delete: String,
    pub(super) delete_etag: String,
    pub(super) begin_cleanup: String,
    pub(super) cleanup: String,
}

/// Text comparison orders these times: both are `YYYY-MM-DD HH:MM:SS` in UTC.
pub(super) const LIVE: &str = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)";

/// What a write stores: parameters 1 to 5 are key, value, form, etag and time to live.
const STORED: &str = "value = excluded.value, is_binary = excluded.is_binary, etag = excluded.etag, \
     expiration_time = excluded.expiration_time, update_time = CURRENT_TIMESTAMP";

impl Tables {
    pub(super) fn new(settings: &SqliteStateSettings) -> Self {
        let (state, metadata) = (&settings.table_name, &settings.metadata_table_name);
        let insert = format!(
            "INSERT INTO {state} (key, value, is_binary, etag, expiration_time, update_time) \
             VALUES (?1, ?2, ?3, ?4, datetime('now', ?5), CURRENT_TIMESTAMP)"
        );
        Self {
            get: format!(
                "SELECT value, is_binary, etag, strftime('%Y-%m-%dT%H:%M:%SZ', expiration_time) \
                 FROM {state} WHERE key = ?1 AND {LIVE}"
            ),
            put: format!("{insert} ON CONFLICT (key) DO UPDATE SET {STORED}"),
            put_first: format!(
                "{insert} ON CONFLICT (key) DO UPDATE SET {STORED} \
                 WHERE expiration_time <= CURRENT_TIMESTAMP"
            ),
            put_over: format!(
                "UPDATE {state} SET value = ?2, is_binary = ?3, etag = ?4, \
                 expiration_time = datetime('now', ?5), update_time = CURRENT_TIMESTAMP \
                 WHERE key = ?1 AND etag = ?6 AND {LIVE}"
            ),
            delete: format!("DELETE FROM {state} WHERE key = ?1"),
            delete_etag: format!("DELETE FROM {state} WHERE key = ?1 AND etag = ?2"),
            begin_cleanup: format!(
                "INSERT INTO {metadata} (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP) \
                 ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP \
                 WHERE (unixepoch() - coalesce(unixepoch(value), 0)) * 1000 > ?1"
            ),
            cleanup: format!("DELETE FROM {state} WHERE expiration_time <= CURRENT_TIMESTAMP"),
            state: state.clone(),
            metadata: metadata.clone(),
        }
    }
}

impl Schema for Tables {
    fn tables(&self) -> Vec<&str> {
        vec![&self.state, &self.metadata]
    }

    fn metadata_table(&self) -> &str {
        &self.metadata
    }

    fn definition(&self) -> String {
        let Self {
            state, metadata, ..
        } = self;
        format!(
            "CREATE TABLE IF NOT EXISTS {metadata} (
               key TEXT NOT NULL PRIMARY KEY,
               value TEXT NOT NULL
             );
             CREATE TABLE IF NOT EXISTS {state} (
               key TEXT NOT NULL PRIMARY KEY,
               value TEXT NOT NULL,
               is_binary BOOLEAN NOT NULL,
               etag TEXT NOT NULL,
               expiration_time TIMESTAMP DEFAULT NULL,
               update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
             );
             INSERT INTO {metadata} (key, value) VALUES ('migrations', '{LEVEL}')
               ON CONFLICT (key) DO UPDATE SET value = excluded.value
               WHERE CAST(value AS INTEGER) < {LEVEL};"
        )
    }

    fn add_functions(&self, connection: &Connection) -> rusqlite::Result<()> {
        super::query::add_functions(connection)
    }
}
