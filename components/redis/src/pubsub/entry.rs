//! The bytes of a message on a stream.
//!
//! An entry has the field `data`, the message as it is, and the field `metadata`, a JSON object as Go's encoder writes it;
//! without metadata the field is left out.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use dapr_pluggable::pubsub::Message;
use dapr_pluggable::{Error, Metadata, Result};
use redis::{Cmd, Value};

use super::id::EntryId;
use crate::settings::RedisPubSubSettings;

/// How publishing shortens a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trimming {
    Off,
    /// To about so many entries.
    Length(i64),
    /// To the entries that are about so young.
    Age(Duration),
}

impl Trimming {
    pub(super) fn new(settings: &RedisPubSubSettings) -> Self {
        let age = settings.stream_ttl;
        match settings.max_len_approx {
            length @ 1.. => {
                if !age.is_zero() {
                    tracing::warn!(
                        "maxLenApprox and streamTTL are both set: streamTTL is without effect"
                    );
                }
                Self::Length(length)
            }
            _ if age.is_zero() => Self::Off,
            _ => Self::Age(age),
        }
    }
}

/// The command that appends a message. Of its metadata what is later in the list goes before what is earlier.
pub(super) fn add<'a>(
    topic: &str,
    trimming: Trimming,
    data: &[u8],
    metadata: impl IntoIterator<Item = &'a Metadata>,
) -> Result<Cmd> {
    let mut command = redis::cmd("XADD");
    command.arg(topic);
    match trimming {
        Trimming::Off => {}
        Trimming::Length(length) => {
            command.arg("MAXLEN").arg("~").arg(length);
        }
        Trimming::Age(age) => {
            command.arg("MINID").arg("~").arg(oldest(age));
        }
    }
    command.arg("*").arg("data").arg(data);
    let metadata: BTreeMap<&str, &str> = metadata.into_iter().flat_map(Metadata::iter).collect();
    if !metadata.is_empty() {
        command.arg("metadata").arg(to_json(&metadata)?);
    }
    Ok(command)
}

/// The message in the fields of an entry.
pub(super) fn message(topic: &str, id: EntryId, fields: Vec<(Vec<u8>, Vec<u8>)>) -> Message {
    let mut message = Message::new(topic, Vec::new());
    for (name, value) in fields {
        match name.as_slice() {
            b"data" => message.data = value.into(),
            b"metadata" => match from_json(&value) {
                Ok(metadata) => message.metadata = metadata,
                Err(error) => tracing::warn!(
                    topic, %id, %error,
                    "the metadata of a message cannot be read; it is delivered without"
                ),
            },
            _ => {}
        }
    }
    message
}

/// Entries as Redis answers them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) found: Vec<Entry>,
    /// How many are named no more, since they are deleted from the stream: servers before version 7 say so.
    pub(super) gone: usize,
}

/// An entry of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    /// `None` where it is deleted from the stream, and only its id is left.
    pub(super) fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Reads the entries of one stream in an answer to `XREADGROUP`; none came where it is nil.
pub(super) fn read_streams(answer: Value) -> Option<Entries> {
    let entries = match answer {
        Value::Nil => return Some(Entries::default()),
        // One stream was asked for: `{name: entries}`, or `[[name, entries]]` before RESP3.
        Value::Map(streams) => streams.into_iter().next()?.1,
        Value::Array(streams) => items(streams.into_iter().next()?)?.into_iter().nth(1)?,
        _ => return None,
    };
    read_entries(entries)
}

/// Reads a list of entries, the answer to `XCLAIM`.
pub(super) fn read_entries(answer: Value) -> Option<Entries> {
    let mut entries = Entries::default();
    for item in items(answer)? {
        match item {
            Value::Nil => entries.gone += 1,
            item => entries.found.push(read_entry(item)?),
        }
    }
    Some(entries)
}

fn read_entry(item: Value) -> Option<Entry> {
    let mut parts = items(item)?.into_iter();
    let id = EntryId::parse(&text(parts.next()?)?)?;
    let fields = match parts.next()? {
        Value::Nil => None,
        Value::Map(fields) => Some(
            fields
                .into_iter()
                .map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect::<Option<Vec<_>>>()?,
        ),
        fields => {
            let mut fields = items(fields)?.into_iter();
            let mut pairs = Vec::with_capacity(fields.len() / 2);
            while let Some(name) = fields.next() {
                pairs.push((text(name)?, text(fields.next()?)?));
            }
            Some(pairs)
        }
    };
    Some(Entry { id, fields })
}

pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// The least id that may stay on a stream whose entries live so long.
fn oldest(age: Duration) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = now.unwrap_or_default().saturating_sub(age);
    format!("{}-1", since.as_millis())
}

/// An object as Go's encoder writes it: sorted, and without what could be taken for markup.
fn to_json(metadata: &BTreeMap<&str, &str>) -> Result<String> {
    let json = serde_json::to_string(metadata).map_err(|error| {
        Error::internal("cannot write the metadata of a message").with_source(error)
    })?;
    // None of these means anything to JSON itself, so they stand inside of strings.
    let is_escaped = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !json.contains(is_escaped) {
        return Ok(json);
    }
    let mut escaped = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if is_escaped(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    Ok(escaped)
}

/// What Go's decoder makes of an object of strings: the text in place of anything else is empty, and null instead of the
/// object is none.
fn from_json(json: &[u8]) -> Result<Metadata, serde_json::Error> {
    let json = String::from_utf8_lossy(json);
    let map: Option<HashMap<String, serde_json::Value>> = serde_json::from_str(&json)?;
    let entries = map.unwrap_or_default().into_iter();
    Ok(entries
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, text),
            _ => (key, String::new()),
        })
        .collect())
}

#[cfg(test)]
mod tests;
