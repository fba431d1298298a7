//! From SQLite's errors to those of the SDK: the one place that decides what each means.

use dapr_pluggable::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// What stops work on a connection: SQLite, or the component itself.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite reported it.
    Sqlite(rusqlite::Error),
    /// The request cannot be done as it is.
    Refused(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// The error for the caller; `database` names the database.
    pub(crate) fn into_error(self, database: &str) -> Error {
        match self {
            Self::Sqlite(error) => translate(error, database),
            Self::Refused(error) => error,
        }
    }

    /// Whether another connection holds a lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_busy(error))
    }
}

/// Whether another connection holds a lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// The SDK's error for one of SQLite's.
pub(crate) fn translate(error: rusqlite::Error, database: &str) -> Error {
    let (kind, text) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "another connection has held its lock for longer than busyTimeout".to_owned(),
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Throttled,
            "the disk is full, or the database is as large as it may be".to_owned(),
        ),
        Some(ErrorCode::ReadOnly) => (ErrorKind::Denied, "it is open for reading only".to_owned()),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (ErrorKind::Denied, error.to_string())
        }
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Unavailable,
            "it cannot be opened: does its folder exist, and may this user write there?".to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
            (ErrorKind::Unavailable, error.to_string())
        }
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::InvalidSettings,
            "the file is not a SQLite database".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Internal, format!("the file is damaged: {error}"))
        }
        Some(ErrorCode::TooBig) => (
            ErrorKind::InvalidRequest,
            "the value is larger than SQLite allows".to_owned(),
        ),
        Some(ErrorCode::OperationInterrupted) => (
            ErrorKind::Cancelled,
            "the caller gave up before the answer was there".to_owned(),
        ),
        _ => (ErrorKind::Internal, error.to_string()),
    };
    Error::new(kind, format!("database {database:?}: {text}")).with_source(error)
}
