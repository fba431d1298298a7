//! Queries: a typed filter, a sort order, a page.

use std::num::NonZeroU32;

use serde_json::Value;

use super::Etag;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use bytes::Bytes;

/// A search of a state store.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// What to select; `None` selects everything.
    pub filter: Option<Filter>,
    /// By what to sort, the most significant first.
    pub sort: Vec<Sort>,
    /// How much of the result to give.
    pub page: Page,
    /// Options of this request.
    pub metadata: Metadata,
}

impl Query {
    /// Everything that a filter selects.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self {
            filter: Some(filter),
            ..Self::default()
        }
    }
}

/// A condition on a JSON value. A path names a member by its names and dots, `person.org`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// The member at the path equals the value.
    Equal(String, Value),
    /// The member at the path is there and differs from the value.
    NotEqual(String, Value),
    /// The member at the path is greater than the value.
    Greater(String, Value),
    /// The member at the path is greater than the value or equals it.
    GreaterOrEqual(String, Value),
    /// The member at the path is less than the value.
    Less(String, Value),
    /// The member at the path is less than the value or equals it.
    LessOrEqual(String, Value),
    /// The member at the path equals one of the values.
    In(String, Vec<Value>),
    /// All of them hold.
    And(Vec<Filter>),
    /// One of them holds.
    Or(Vec<Filter>),
}

/// How deep filters may be nested; a request from outside must not exhaust the stack.
const MAX_DEPTH: usize = 64;

impl Filter {
    /// Reads Dapr's JSON form, `{"EQ": {"path": value}}`, with exactly one operator; an empty object is no filter.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) that names the operator or what is wrong with it.
    pub fn from_json(json: &Value) -> Result<Option<Self>> {
        let object = json
            .as_object()
            .ok_or_else(|| invalid(format!("filter must be an object, not {json}")))?;
        let mut entries = object.iter();
        match (entries.next(), entries.next()) {
            (None, _) => Ok(None),
            (Some((operator, argument)), None) => Self::parse(operator, argument, 0).map(Some),
            (Some(_), Some(_)) => Err(invalid("filter unit must have a single element")),
        }
    }

    /// Reads one operator and its argument, the two halves of an entry of the JSON form.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_operator(operator: &str, argument: &Value) -> Result<Self> {
        Self::parse(operator, argument, 0)
    }

    /// The operator and its argument in Dapr's JSON form.
    #[must_use]
    pub fn to_operator(&self) -> (&'static str, Value) {
        let comparison = |operator, path: &String, value: &Value| {
            (
                operator,
                Value::Object([(path.clone(), value.clone())].into_iter().collect()),
            )
        };
        let group =
            |operator, filters: &[Self]| (operator, filters.iter().map(Self::to_json).collect());
        match self {
            Self::Equal(path, value) => comparison("EQ", path, value),
            Self::NotEqual(path, value) => comparison("NEQ", path, value),
            Self::Greater(path, value) => comparison("GT", path, value),
            Self::GreaterOrEqual(path, value) => comparison("GTE", path, value),
            Self::Less(path, value) => comparison("LT", path, value),
            Self::LessOrEqual(path, value) => comparison("LTE", path, value),
            Self::In(path, values) => comparison("IN", path, &Value::Array(values.clone())),
            Self::And(filters) => group("AND", filters),
            Self::Or(filters) => group("OR", filters),
        }
    }

    /// Dapr's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (operator, argument) = self.to_operator();
        Value::Object([(operator.to_owned(), argument)].into_iter().collect())
    }

    fn parse(operator: &str, argument: &Value, depth: usize) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!(
                "filter is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        let comparison = |make: fn(String, Value) -> Self| {
            let (path, value) = single(operator, argument)?;
            if value.is_object() || value.is_array() {
                return Err(invalid(format!(
                    "{operator} of {path:?} needs a string, number, boolean or null"
                )));
            }
            Ok(make(path.clone(), value.clone()))
        };
        match operator {
            "EQ" => comparison(Self::Equal),
            "NEQ" => comparison(Self::NotEqual),
            "GT" => comparison(Self::Greater),
            "GTE" => comparison(Self::GreaterOrEqual),
            "LT" => comparison(Self::Less),
            "LTE" => comparison(Self::LessOrEqual),
            "IN" => {
                let (path, value) = single(operator, argument)?;
                let values = value
                    .as_array()
                    .ok_or_else(|| invalid(format!("IN of {path:?} needs an array of values")))?;
                Ok(Self::In(path.clone(), values.clone()))
            }
            "AND" => Self::parse_group(operator, argument, depth).map(Self::And),
            "OR" => Self::parse_group(operator, argument, depth).map(Self::Or),
            other => Err(invalid(format!("unsupported filter {other:?}"))),
        }
    }

    fn parse_group(operator: &str, argument: &Value, depth: usize) -> Result<Vec<Self>> {
        let parts = argument
            .as_array()
            .ok_or_else(|| invalid(format!("{operator} needs an array of filters")))?;
        if parts.is_empty() {
            return Err(invalid(format!("{operator} needs at least one filter")));
        }
        parts
            .iter()
            .map(|part| {
                let (inner, argument) = single(operator, part)?;
                Self::parse(inner, argument, depth + 1)
            })
            .collect()
    }
}

fn single<'a>(operator: &str, argument: &'a Value) -> Result<(&'a String, &'a Value)> {
    let mut entries = argument.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry),
        _ => Err(invalid(format!(
            "{operator} needs an object with exactly one member, not {argument}"
        ))),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid_request(message)
}

/// One key of a sort order.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The path of the member.
    pub path: String,
    /// The direction.
    pub order: Order,
}

impl Sort {
    /// By the member at a path.
    pub fn new(path: impl Into<String>, order: Order) -> Self {
        Self {
            path: path.into(),
            order,
        }
    }
}

/// A direction.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The least first.
    #[default]
    Ascending,
    /// The greatest first.
    Descending,
}

/// How much of a result to give.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many items; `None` is all.
    pub limit: Option<NonZeroU32>,
    /// Where to go on: the token of the page before.
    pub token: Option<String>,
}

impl Page {
    /// The first page of so many items; zero is all.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self {
            limit: NonZeroU32::new(limit),
            token: None,
        }
    }

    /// The page after the one that gave the token.
    #[must_use]
    pub fn after(limit: u32, token: impl Into<String>) -> Self {
        Self {
            limit: NonZeroU32::new(limit),
            token: Some(token.into()),
        }
    }
}

/// One page of a result.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct QueryPage {
    /// The items, in order.
    pub items: Vec<QueryItem>,
    /// Where the next page begins, if there may be one.
    pub token: Option<String>,
    /// What else there is to know.
    pub metadata: Metadata,
}

impl QueryPage {
    /// A page, and where the next begins.
    #[must_use]
    pub fn new(items: Vec<QueryItem>, token: Option<String>) -> Self {
        Self {
            items,
            token,
            metadata: Metadata::new(),
        }
    }
}

/// One item of a result.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct QueryItem {
    /// The key, prefix included.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// Its version.
    pub etag: Option<Etag>,
    /// Why this item could not be read.
    pub error: Option<String>,
    /// The type of the value, where the store keeps it.
    pub content_type: Option<String>,
}

impl QueryItem {
    /// An item.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>, etag: Option<Etag>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            etag,
            ..Self::default()
        }
    }
}
