//! Set and delete.

use dapr_pluggable::settings::Ttl;
use dapr_pluggable::state::{Concurrency, DeleteRequest, Etag, Operation, SetRequest, require_key};
use dapr_pluggable::{Error, Result};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::schema::Tables;
use super::value::Stored;
use crate::error::Fault;

/// A write whose request was found to be in order.
#[derive(Debug)]
pub(super) enum Write {
    Set {
        key: String,
        value: Stored,
        /// How SQLite's date functions say it: `+60 seconds`.
        ttl: Option<String>,
        condition: Condition,
    },
    Delete {
        key: String,
        etag: Option<Etag>,
    },
}

/// What must be there for a set.
#[derive(Debug)]
pub(super) enum Condition {
    Anything,
    NoValue,
    Etag(Etag),
}

impl Write {
    pub(super) fn of(operation: Operation) -> Result<Self> {
        match operation {
            Operation::Set(request) => Self::set(request),
            Operation::Delete(request) => Self::delete(request),
            other => Err(Error::unsupported(format!(
                "a transaction operation such as {other:?}"
            ))),
        }
    }

    pub(super) fn set(request: SetRequest) -> Result<Self> {
        require_key(&request.key, "set")?;
        let ttl = match Ttl::from_metadata(&request.metadata)? {
            Ttl::Seconds(seconds) => Some(format!("+{seconds} seconds")),
            Ttl::Absent | Ttl::Never => None,
        };
        let condition = match given(request.etag) {
            Some(etag) => Condition::Etag(etag),
            None if request.concurrency == Concurrency::FirstWrite => Condition::NoValue,
            None => Condition::Anything,
        };
        Ok(Self::Set {
            value: Stored::new(request.value),
            key: request.key,
            ttl,
            condition,
        })
    }

    pub(super) fn delete(request: DeleteRequest) -> Result<Self> {
        require_key(&request.key, "delete")?;
        Ok(Self::Delete {
            etag: given(request.etag),
            key: request.key,
        })
    }

    /// Does it, in one statement. The etag of a set is new even when the job runs again.
    pub(super) fn run(&self, connection: &Connection, tables: &Tables) -> Result<(), Fault> {
        let (key, changed) = match self {
            Self::Set {
                key,
                value,
                ttl,
                condition,
            } => {
                let mut buffer = Uuid::encode_buffer();
                let fresh: &str = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
                let (text, is_binary) = (value.text(), value.is_binary());
                let statement = |sql| connection.prepare_cached(sql);
                let changed = match condition {
                    Condition::Anything => statement(&tables.put)?
                        .execute(params![key, text, is_binary, fresh, ttl])?,
                    Condition::NoValue => statement(&tables.put_first)?
                        .execute(params![key, text, is_binary, fresh, ttl])?,
                    Condition::Etag(etag) => statement(&tables.put_over)?.execute(params![
                        key,
                        text,
                        is_binary,
                        fresh,
                        ttl,
                        etag.as_str()
                    ])?,
                };
                (key, changed > 0)
            }
            Self::Delete { key, etag: None } => {
                connection.prepare_cached(&tables.delete)?.execute([key])?;
                (key, true)
            }
            Self::Delete {
                key,
                etag: Some(etag),
            } => {
                let mut statement = connection.prepare_cached(&tables.delete_etag)?;
                (key, statement.execute([key, etag.as_str()])? > 0)
            }
        };
        if changed {
            Ok(())
        } else {
            Err(Fault::Refused(Error::etag_mismatch(key)))
        }
    }
}

/// Does each of several writes for itself, and gives those that were refused. What stops SQLite stops them all.
pub(super) fn each(
    connection: &Connection,
    tables: &Tables,
    writes: &[(usize, String, Write)],
) -> Result<Vec<(usize, String, Error)>, Fault> {
    let mut refused = Vec::new();
    for (index, key, write) in writes {
        match write.run(connection, tables) {
            Ok(()) => {}
            Err(Fault::Refused(error)) => refused.push((*index, key.clone(), error)),
            Err(fault) => return Err(fault),
        }
    }
    Ok(refused)
}

/// An empty etag is none.
fn given(etag: Option<Etag>) -> Option<Etag> {
    etag.filter(|etag| !etag.as_str().is_empty())
}
