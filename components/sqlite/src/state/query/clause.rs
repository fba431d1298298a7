//! From a filter to the text after WHERE.

use dapr_pluggable::state::{Filter, Order, Sort};
use dapr_pluggable::{Error, Result};
use rusqlite::types::Value;
use serde_json::Value as Json;

use super::token::Position;

/// What follows `WHERE doc IS NOT NULL`, and the parameters of the whole statement.
#[derive(Debug, Default)]
pub(super) struct Clause {
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
}

impl Clause {
    /// Only rows for which a filter holds.
    pub(super) fn filter(&mut self, filter: &Filter) -> Result<()> {
        let condition = self.condition(filter)?;
        self.sql.push_str(&format!(" AND {condition}"));
        Ok(())
    }

    /// Only rows that come after a position in a sort order.
    pub(super) fn after(&mut self, sorts: &[Sort], position: Position) {
        let mut condition = format!("key > {}", self.parameter(position.key));
        let values = sorts.iter().zip(position.values).enumerate();
        for (index, (sort, (rank, value))) in values.rev() {
            let beyond = match sort.order {
                Order::Descending => "<",
                _ => ">",
            };
            let (rank, value) = (self.parameter(rank), self.parameter(value));
            condition = format!(
                "(rank{index} {beyond} {rank} OR rank{index} = {rank} AND \
                 (value{index} {beyond} {value} OR value{index} IS {value} AND {condition}))"
            );
        }
        self.sql.push_str(&format!(" AND {condition}"));
    }

    /// The place of a parameter that is a path of names with dots between them, in SQLite's form.
    pub(super) fn path(&mut self, path: &str) -> String {
        let mut text = String::from("$");
        for name in path.split('.') {
            // Quoted and escaped as in JSON, so that no character of a name means anything.
            text.push('.');
            text.push_str(&Json::from(name).to_string());
        }
        self.parameter(text)
    }

    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    fn condition(&mut self, filter: &Filter) -> Result<String> {
        match filter {
            Filter::Equal(path, value) => {
                let path = self.path(path);
                self.equal(&path, value)
            }
            Filter::NotEqual(path, value) => {
                let path = self.path(path);
                let equal = self.equal(&path, value)?;
                Ok(format!(
                    "(json_type(doc, {path}) IS NOT NULL AND NOT {equal})"
                ))
            }
            Filter::Greater(path, value) => self.compare(path, ">", value),
            Filter::GreaterOrEqual(path, value) => self.compare(path, ">=", value),
            Filter::Less(path, value) => self.compare(path, "<", value),
            Filter::LessOrEqual(path, value) => self.compare(path, "<=", value),
            Filter::In(_, values) if values.is_empty() => Ok("0".to_owned()),
            Filter::In(path, values) => {
                let path = self.path(path);
                let equals = values.iter().map(|value| self.equal(&path, value));
                group(equals.collect::<Result<_>>()?, " OR ", "0")
            }
            Filter::And(filters) => {
                let parts = filters.iter().map(|filter| self.condition(filter));
                group(parts.collect::<Result<_>>()?, " AND ", "1")
            }
            Filter::Or(filters) => {
                let parts = filters.iter().map(|filter| self.condition(filter));
                group(parts.collect::<Result<_>>()?, " OR ", "0")
            }
            other => Err(Error::unsupported(format!("a filter such as {other:?}"))),
        }
    }

    /// Whether the member at a path is a value: of the same kind and equal.
    fn equal(&mut self, path: &str, value: &Json) -> Result<String> {
        match value {
            Json::Null => Ok(format!("(json_type(doc, {path}) IS 'null')")),
            Json::Bool(value) => Ok(format!("(json_type(doc, {path}) IS '{value}')")),
            _ => self.ordered(path, "=", value),
        }
    }

    fn compare(&mut self, path: &str, operator: &str, value: &Json) -> Result<String> {
        if value.is_null() {
            // Nothing is less or more than null.
            return Ok("0".to_owned());
        }
        let path = self.path(path);
        self.ordered(&path, operator, value)
    }

    /// Whether the member at a path is of the kind of a value and stands in an order to it.
    fn ordered(&mut self, path: &str, operator: &str, value: &Json) -> Result<String> {
        let (kinds, value) = match value {
            Json::Bool(value) => ("'true', 'false'", Value::from(*value)),
            Json::Number(number) => (
                "'integer', 'real'",
                number.as_i64().map_or_else(
                    || Value::from(number.as_f64().unwrap_or(f64::NAN)),
                    Value::from,
                ),
            ),
            Json::String(text) => ("'text'", Value::from(text.clone())),
            Json::Null | Json::Array(_) | Json::Object(_) => {
                return Err(Error::invalid_request(format!(
                    "a filter compares with a string, number, boolean or null, not with {value}"
                )));
            }
        };
        let value = self.parameter(value);
        // Of a missing member the kind is NULL, and NULL would make NOT of this NULL as well.
        Ok(format!(
            "(coalesce(json_type(doc, {path}), '') IN ({kinds}) AND json_extract(doc, {path}) {operator} {value})"
        ))
    }
}

fn group(parts: Vec<String>, operator: &str, empty: &str) -> Result<String> {
    Ok(if parts.is_empty() {
        empty.to_owned()
    } else {
        format!("({})", parts.join(operator))
    })
}
