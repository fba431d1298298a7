//! YAML as a tree whose nodes know their line: a message about a resource file has to say where, and Dapr's rules for
//! names (case does not count, the last of several wins) are not those of any derive.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// A value and the line it stands on.
#[derive(Debug)]
pub(crate) struct Node {
    /// Counted from 1.
    pub(crate) line: u64,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    /// As JSON has it.
    Number(String),
    String(String),
    List(Vec<Node>),
    /// In the order of the file, names that come twice included.
    Map(Vec<(String, Node)>),
}

/// What is wrong with a text, and on which line of it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    // Plain words and numbers with leading zeros keep their text, as YAML 1.2 has it: `no` is a country, `010` a code.
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        null_as_string: true,
        emit_comments: false,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Fault {
        line: error.location().map_or(1, |location| location.line()),
        message: error.without_snippet().to_string(),
    })
}

impl Node {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::String(_) => "a string",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// Its text as JSON, with sorted names, of which the last counts.
    pub(crate) fn to_json(&self) -> String {
        match &self.content {
            Content::Null => "null".to_owned(),
            Content::Bool(value) => value.to_string(),
            Content::Number(text) => text.clone(),
            Content::String(text) => json_string(text),
            Content::List(nodes) => {
                let parts: Vec<String> = nodes.iter().map(Self::to_json).collect();
                format!("[{}]", parts.join(","))
            }
            Content::Map(entries) => {
                let last: BTreeMap<&String, &Self> =
                    entries.iter().map(|(name, node)| (name, node)).collect();
                let parts: Vec<String> = last
                    .into_iter()
                    .map(|(name, node)| format!("{}:{}", json_string(name), node.to_json()))
                    .collect();
                format!("{{{}}}", parts.join(","))
            }
        }
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A whole number without its fraction, as Go writes it.
fn json_float(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e21 {
        return format!("{value:.0}");
    }
    serde_json::Value::from(value).to_string()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            line: spanned.referenced.line(),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Number(json_float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::String(value))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Map(entries))
    }
}
