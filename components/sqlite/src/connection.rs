//! Where a database is, and how a connection to it is opened.

mod uri;

use std::thread;
use std::time::{Duration, Instant};

use dapr_pluggable::{Error, Result};
use rusqlite::{Connection, OpenFlags};

use crate::error::is_busy;
use crate::settings::ConnectionSettings;

/// How many prepared statements a connection keeps: more than any block has.
const STATEMENTS: usize = 64;

/// The longest pause between two attempts to get a lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Where a database is, and what every connection to it does first.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    uri: String,
    name: String,
    storage: Storage,
    pragmas: Vec<String>,
    patience: Duration,
}

/// Where the pages of a database are, and how changes to them are kept apart from readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// A file with a write-ahead log.
    Log,
    /// A file with a rollback journal.
    Journal,
    /// A file that is only read.
    ReadOnly,
    /// Memory, shared by the connections of this process to the same name. One connection does everything.
    Memory,
}

impl Location {
    /// Reads a connection string by the rules of Dapr's component.
    pub(crate) fn new(settings: &ConnectionSettings) -> Result<Self> {
        let parts = uri::Parts::parse(settings.connection_string.expose())?;
        let storage = if parts.is_memory() {
            Storage::Memory
        } else if parts.is_read_only() {
            Storage::ReadOnly
        } else if settings.disable_wal {
            Storage::Journal
        } else {
            Storage::Log
        };
        let mut pragmas = vec![format!("synchronous({})", settings.synchronous.as_str())];
        pragmas.extend(parts.pragmas()?);
        Ok(Self {
            uri: parts.uri(storage == Storage::Memory),
            name: parts.name(),
            storage,
            pragmas,
            patience: settings.patience(),
        })
    }

    /// The name for errors and logs: the path without options.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the pages are.
    pub(crate) fn storage(&self) -> Storage {
        self.storage
    }

    /// How long to wait for a lock.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.uri, flags)?;
        connection.busy_timeout(self.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // SQLite does not wait by itself for whoever changes the schema of a database in memory.
        for pragma in &self.pragmas {
            patiently(Instant::now() + self.patience, || {
                run_pragma(&connection, pragma)
            })?;
        }
        Ok(connection)
    }

    /// Opens the connection that writes, and sets the journal mode, which belongs to the file.
    pub(crate) fn connect_writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect()?;
        let mode = match self.storage {
            Storage::Log => "WAL",
            Storage::Journal => "DELETE",
            Storage::Memory => "MEMORY",
            Storage::ReadOnly => return Ok(connection),
        };
        // SQLite does not wait by itself for the lock that this needs.
        let got = patiently(Instant::now() + self.patience, || {
            connection.query_row(&format!("PRAGMA journal_mode({mode})"), (), |row| {
                row.get::<_, String>(0)
            })
        })?;
        if !got.eq_ignore_ascii_case(mode) {
            tracing::warn!(
                database = self.name,
                wanted = mode,
                got,
                "the database does not take the journal mode"
            );
        }
        Ok(connection)
    }
}

/// Tries until no other connection holds the lock, at the longest until `deadline`, and once in any case.
///
/// SQLite's own way to wait sleeps up to 100 ms between attempts. Beside a process that commits all the time, which
/// leaves the lock free for some microseconds at a time, it would not get a turn for seconds.
pub(crate) fn patiently<T>(
    deadline: Instant,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut pause = Duration::from_micros(50);
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                thread::park_timeout(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn run_pragma(connection: &Connection, pragma: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Runs several statements as one: when it fails, none of them has happened, whatever transaction is around it.
pub(crate) fn atomically<T, E: From<rusqlite::Error>>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let run = |sql| connection.prepare_cached(sql)?.execute(());
    run("SAVEPOINT step")?;
    match work() {
        Ok(value) => {
            run("RELEASE step")?;
            Ok(value)
        }
        Err(error) => {
            // A full disk may have ended the whole transaction, savepoint included.
            if !connection.is_autocommit() {
                run("ROLLBACK TO step")?;
                run("RELEASE step")?;
            }
            Err(error)
        }
    }
}

/// What a connection string must not say.
fn forbidden(pragma: &str, instead: &str) -> Error {
    Error::invalid_settings(format!(
        "found forbidden option '_pragma={pragma}' in the connection string: {instead}"
    ))
}
