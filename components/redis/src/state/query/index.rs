//! The indexes of the setting `queryIndexes`.

use std::collections::BTreeSet;

use dapr_pluggable::{Error, Result};
use redis::{Cmd, RedisError};
use serde::Deserialize;

/// An index over values.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Index {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "indexes")]
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    #[serde(default)]
    key: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// Reads the setting.
///
/// # Errors
/// `InvalidSettings` for what is no list of indexes.
pub(in super::super) fn indexes(setting: &str) -> Result<Vec<Index>> {
    if setting.is_empty() {
        return Ok(Vec::new());
    }
    let invalid = |what: String| {
        Error::invalid_settings(format!(
            "error registering query schemas: invalid value for key \"queryIndexes\": {what}: expected a JSON array of \
             {{\"name\": …, \"indexes\": [{{\"key\": …, \"type\": …}}]}}"
        ))
    };
    let indexes: Vec<Index> =
        serde_json::from_str(setting).map_err(|error| invalid(error.to_string()))?;
    let mut names = BTreeSet::new();
    for index in &indexes {
        let name = &index.name;
        if name.is_empty() {
            return Err(invalid("an index has no name".to_owned()));
        }
        if !names.insert(name) {
            return Err(invalid(format!("two indexes are named {name:?}")));
        }
        for field in &index.fields {
            if field.key.is_empty() || field.kind.is_empty() {
                return Err(invalid(format!(
                    "index {name:?} has a member without key or type"
                )));
            }
        }
    }
    Ok(indexes)
}

impl Index {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a query calls the member at a path.
    pub(super) fn alias(&self, path: &str) -> Result<String> {
        let number = self.fields.iter().position(|field| field.key == path);
        let number = number
            .ok_or_else(|| Error::invalid_request(format!("JSON path {path:?} is not indexed")))?;
        Ok(alias(number))
    }

    /// The command that makes it.
    pub(in super::super) fn create(&self) -> Cmd {
        let mut command = redis::cmd("FT.CREATE");
        command.arg(&self.name).arg("ON").arg("JSON").arg("SCHEMA");
        for (number, field) in self.fields.iter().enumerate() {
            command
                .arg(format!("$.data.{}", field.key))
                .arg("AS")
                .arg(alias(number))
                .arg(&field.kind)
                .arg("SORTABLE");
        }
        command
    }

    /// The command that removes it; the values stay.
    pub(in super::super) fn drop(&self) -> Cmd {
        let mut command = redis::cmd("FT.DROPINDEX");
        command.arg(&self.name);
        command
    }

    /// Whether the answer to [`create`](Self::create) was that there is one of the name.
    pub(in super::super) fn exists(error: &RedisError) -> bool {
        error
            .detail()
            .is_some_and(|detail| detail.contains("already exists"))
    }
}

fn alias(number: usize) -> String {
    format!("var{number}")
}
