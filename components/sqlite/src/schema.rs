//! What a building block keeps in a database, and how it comes to be there.

use std::fmt::Debug;
use std::time::Instant;

use dapr_pluggable::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension};

use crate::connection::{Location, Storage, patiently};
use crate::error::Fault;

/// What a building block keeps in a database.
pub(crate) trait Schema: Debug + Send + Sync + 'static {
    /// The tables.
    fn tables(&self) -> Vec<&str>;

    /// The one of the tables that has the version of all of them, in its row `migrations`.
    fn metadata_table(&self) -> &str;

    /// The statements that create what is missing and write the version.
    fn definition(&self) -> String;

    /// Adds to a connection the functions that statements use.
    fn add_functions(&self, connection: &Connection) -> rusqlite::Result<()>;
}

/// The version of the tables that this crate creates. It works with later ones.
pub(crate) const LEVEL: i64 = 1;

/// Creates the tables, once, however many open the database at the same time.
pub(crate) fn create(
    schema: &dyn Schema,
    connection: &Connection,
    location: &Location,
) -> Result<(), Fault> {
    match exists(schema, connection) {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        // In memory SQLite does not wait for whoever creates tables this moment. Below they are looked for under the lock.
        Err(fault) if fault.is_busy() && location.storage() == Storage::Memory => {}
        Err(fault) => return Err(fault),
    }
    let database = location.name();
    if location.storage() == Storage::ReadOnly {
        let tables = schema.tables().join(", ");
        return Err(Fault::Refused(Error::new(
            ErrorKind::Denied,
            format!(
                "database {database:?} is open for reading only and has not all of the tables {tables}"
            ),
        )));
    }
    patiently(Instant::now() + location.patience(), || {
        connection.execute_batch("BEGIN EXCLUSIVE")
    })?;
    // Asked again: another connection may have created them before this one had the lock.
    let created = exists(schema, connection).and_then(|exists| {
        if !exists {
            tracing::info!(database, tables = ?schema.tables(), "creating tables");
            connection.execute_batch(&schema.definition())?;
        }
        Ok(())
    });
    connection.execute_batch(if created.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    })?;
    created
}

/// Whether all tables are there and at our level or a later one.
fn exists(schema: &dyn Schema, connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection
        .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?;
    for table in schema.tables() {
        if !statement.exists([table])? {
            return Ok(false);
        }
    }
    let metadata = schema.metadata_table();
    let level: Option<String> = connection
        .query_row(
            &format!("SELECT value FROM {metadata} WHERE key = 'migrations'"),
            (),
            |row| row.get(0),
        )
        .optional()?;
    match level.as_deref().map(str::parse::<i64>) {
        None => Ok(false),
        Some(Ok(level)) => Ok(level >= LEVEL),
        Some(Err(_)) => Err(Fault::Refused(Error::invalid_settings(format!(
            "table {metadata:?} is not this component's: its row \"migrations\" is {:?}, expected a number",
            level.unwrap_or_default()
        )))),
    }
}
