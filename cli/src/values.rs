//! Values on the command line.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use dapr_pluggable::settings::{GoDuration, parse_go_duration};
use tokio::io::AsyncReadExt as _;

/// A duration as Dapr writes it: `20s`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text)
        .ok()
        .and_then(GoDuration::non_negative)
        .ok_or_else(|| "expected a duration such as 20s or 1m30s".to_owned())
}

/// An entry of a map: `key=value`; the value may have further equal signs.
pub(crate) fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// The bytes that an argument stands for: `@file` for those of a file, `-` for standard input, `@@text` for a text that
/// begins with `@`, else its own.
pub(crate) async fn read(argument: &str) -> Result<Bytes> {
    match argument.strip_prefix('@') {
        Some(text) if text.starts_with('@') => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(path) => {
            let bytes = tokio::fs::read(path).await;
            Ok(bytes.with_context(|| format!("read {path}"))?.into())
        }
        None if argument == "-" => {
            let mut bytes = Vec::new();
            let read = tokio::io::stdin().read_to_end(&mut bytes).await;
            read.context("read standard input")?;
            Ok(bytes.into())
        }
        None => Ok(Bytes::copy_from_slice(argument.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_key() {
        let parsed = entry("uri=redis://a?x=1").unwrap();
        assert_eq!(parsed, ("uri".to_owned(), "redis://a?x=1".to_owned()));
        assert_eq!(entry("empty=").unwrap().1, "");
        assert!(entry("=value").is_err());
        assert!(entry("key").is_err());
    }

    #[tokio::test]
    async fn an_argument_is_a_text_or_a_file() {
        assert_eq!(read("a text").await.unwrap(), "a text");
        assert_eq!(read("@@at").await.unwrap(), "@at");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0, 255]).unwrap();
        let argument = format!("@{}", file.path().display());
        assert_eq!(read(&argument).await.unwrap(), [0, 255].as_slice());
        let error = read("@/no/such/file").await.unwrap_err();
        assert_eq!(error.to_string(), "read /no/such/file");
    }
}
