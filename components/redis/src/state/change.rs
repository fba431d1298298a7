//! Writes and deletes as the scripts read them: checked before anything is sent.

use std::borrow::Cow;

use dapr_pluggable::state::{
    Concurrency, Consistency, DeleteRequest, Etag, SetRequest, require_key,
};
use dapr_pluggable::{Error, ErrorKind, Metadata, Result};
use redis::{Cmd, ToRedisArgs};

use super::json;
use crate::script::Script;

/// The longest time to live, in seconds: Redis counts in milliseconds, and adds what time it is.
pub(super) const MAX_TTL: i64 = 9_000_000_000_000_000;

/// What a store does where a request does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// The time to live, in seconds.
    pub(super) ttl: Option<i64>,
    /// Whether the server has documents.
    pub(super) has_json: bool,
}

/// A write or a delete of one key.
#[derive(Debug)]
pub(super) struct Change<'a> {
    key: &'a str,
    form: Form,
    /// The version that the value must have.
    expected: Option<Cow<'a, str>>,
    consistency: Consistency,
    act: Act<'a>,
}

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Hash,
    Json,
}

#[derive(Debug)]
enum Act<'a> {
    Set {
        value: Cow<'a, [u8]>,
        is_first: bool,
        ttl: Option<i64>,
    },
    Delete,
}

impl Form {
    /// A document where either is one.
    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Hash => other,
            Self::Json => self,
        }
    }
}

impl Defaults {
    /// How the value of a request with that metadata is kept.
    pub(super) fn form(&self, metadata: &Metadata, content_type: Option<&str>) -> Form {
        if self.has_json && (json::is_json(content_type) || json::is_named_in(metadata)) {
            Form::Json
        } else {
            Form::Hash
        }
    }
}

impl<'a> Change<'a> {
    /// What a set asks for.
    ///
    /// # Errors
    /// `InvalidRequest` for an empty key, a bad time to live, and what should be JSON and is not; `EtagInvalid`.
    pub(super) fn set(request: &'a SetRequest, form: Form, defaults: &Defaults) -> Result<Self> {
        require_key(&request.key, "set")?;
        let expected = match request.concurrency {
            Concurrency::LastWrite => None,
            _ => version(request.etag.as_ref())?.map(Cow::Owned),
        };
        let value = match form {
            Form::Hash => Cow::Borrowed(&request.value[..]),
            Form::Json => Cow::Owned(json::document(&request.key, &request.value)?),
        };
        let is_first = request.concurrency == Concurrency::FirstWrite;
        let ttl = ttl(&request.metadata)?.or(defaults.ttl);
        Ok(Self {
            key: &request.key,
            form,
            expected,
            consistency: request.consistency,
            act: Act::Set {
                value,
                is_first,
                ttl,
            },
        })
    }

    /// What a delete asks for. Its etag is compared as it is, unlike that of a set: both as Dapr's own component does.
    ///
    /// # Errors
    /// `InvalidRequest` for an empty key.
    pub(super) fn delete(request: &'a DeleteRequest, form: Form) -> Result<Self> {
        require_key(&request.key, "delete")?;
        let etag = request.etag.as_ref().map(Etag::as_str);
        let expected = etag.filter(|etag| !is_none(etag)).map(Cow::Borrowed);
        Ok(Self {
            key: &request.key,
            form,
            expected,
            consistency: Consistency::Unspecified,
            act: Act::Delete,
        })
    }

    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Whether the replicas must have it. A delete never waits for them, as in Dapr's own component.
    pub(super) fn is_strong(&self) -> bool {
        self.consistency == Consistency::Strong
    }

    pub(super) fn is_delete(&self) -> bool {
        matches!(self.act, Act::Delete)
    }

    /// The command that makes this change alone, to a hash.
    pub(super) fn alone(&self, script: &Script) -> Cmd {
        let mut command = script.on(&[self.key]);
        arg(&mut command, self.expected.as_deref());
        self.add_value(&mut command);
        command
    }

    /// The command that makes changes, all or none.
    pub(super) fn together(changes: &[Self], script: &Script) -> Cmd {
        let keys: Vec<&str> = changes.iter().map(|change| change.key).collect();
        let mut command = script.on(&keys);
        for change in changes {
            command.arg(match change.act {
                Act::Set { .. } => "set",
                Act::Delete => "delete",
            });
            command.arg(match change.form {
                Form::Hash => "hash",
                Form::Json => "json",
            });
            arg(&mut command, change.expected.as_deref());
            change.add_value(&mut command);
            if let Act::Delete = change.act {
                command.arg("").arg("").arg("");
            }
        }
        command
    }

    /// What it does, for an error.
    pub(super) fn what(&self) -> String {
        let verb = if self.is_delete() { "delete" } else { "set" };
        format!("failed to {verb} key {}", self.key)
    }

    /// Why it was not made: what it expected is not so.
    pub(super) fn refused(&self) -> Error {
        let why = match (&self.act, self.expected.as_deref()) {
            (Act::Set { .. }, None) => {
                "a first-write made it, so only its etag changes it".to_owned()
            }
            (Act::Set { .. }, Some(expected)) => format!("its version is not {expected}"),
            (Act::Delete, expected) => {
                format!("it has no version {}", short(expected.unwrap_or_default()))
            }
        };
        Error::new(ErrorKind::EtagMismatch, format!("{}: {why}", self.what()))
    }

    fn add_value(&self, command: &mut Cmd) {
        if let Act::Set {
            value,
            is_first,
            ttl,
        } = &self.act
        {
            command.arg(&**value).arg(if *is_first { "1" } else { "0" });
            arg(command, ttl.map(|ttl| if ttl > 0 { ttl } else { -1 }));
        }
    }
}

/// A value, or nothing.
fn arg(command: &mut Cmd, value: Option<impl ToRedisArgs>) {
    match value {
        Some(value) => command.arg(value),
        None => command.arg(""),
    };
}

/// The version that the etag of a set stands for: it is read as a number, as Dapr's own component does.
fn version(etag: Option<&Etag>) -> Result<Option<String>> {
    let Some(etag) = etag.map(Etag::as_str).filter(|etag| !etag.is_empty()) else {
        return Ok(None);
    };
    match etag.parse::<i64>() {
        Ok(0) => Ok(None),
        Ok(version) => Ok(Some(version.to_string())),
        Err(_) => Err(Error::new(
            ErrorKind::EtagInvalid,
            format!("etag {:?}: expected the number of a version", short(etag)),
        )),
    }
}

/// Whether an etag stands for none: so does zero, which no value has.
fn is_none(etag: &str) -> bool {
    etag.is_empty() || etag == "0"
}

/// The time to live that a request names.
fn ttl(metadata: &Metadata) -> Result<Option<i64>> {
    let text = match metadata.get("ttlInSeconds") {
        None | Some("") => return Ok(None),
        Some(text) => text,
    };
    let is_kept = |seconds: &i64| *seconds <= MAX_TTL;
    match text.parse().ok().filter(is_kept) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Error::invalid_request(format!(
            "failed to parse ttl from metadata: invalid value {:?} for key \"ttlInSeconds\": expected a number of seconds, at most {MAX_TTL}",
            short(text)
        ))),
    }
}

/// So much of a text as an error has room for.
fn short(text: &str) -> &str {
    text.char_indices()
        .nth(64)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}
