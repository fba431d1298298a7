//! Bytes as they are printed.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dapr_pluggable::Metadata;
use serde::Serialize;

use crate::output;

/// Bytes in JSON: as a text where they are one, else in base64 under another name.
#[derive(Debug, Serialize)]
pub(super) enum Payload {
    #[serde(rename = "value")]
    Text(String),
    #[serde(rename = "base64")]
    Bytes(String),
}

impl Payload {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(STANDARD.encode(bytes)),
        }
    }
}

/// A map in the order of its keys.
pub(super) fn sorted(metadata: &Metadata) -> BTreeMap<&str, &str> {
    metadata.iter().collect()
}

/// Prints bytes as they are; on a terminal the line is ended.
pub(super) fn print_raw(bytes: &[u8]) -> Result<()> {
    output::print(bytes)?;
    if io::stdout().is_terminal() && !bytes.ends_with(b"\n") {
        output::print("\n")?;
    }
    Ok(())
}

/// Prints bytes as a line, whatever they are.
pub(super) fn print_line(bytes: &[u8]) -> Result<()> {
    let mut line = bytes.to_vec();
    line.push(b'\n');
    output::print(line)
}
