//! Filters in the language of RediSearch.

use dapr_pluggable::state::Filter;
use dapr_pluggable::{Error, Result};
use serde_json::{Number, Value};

use super::index::Index;

/// Translates a filter.
///
/// # Errors
/// `InvalidRequest` for a path that is not indexed, and for an operand that RediSearch cannot compare with.
pub(super) fn translate(filter: &Filter, index: &Index) -> Result<String> {
    match filter {
        Filter::Equal(path, value) => equal(path, value, index),
        Filter::NotEqual(path, value) => Ok(format!("-({})", equal(path, value, index)?)),
        Filter::Greater(path, value) => range(path, value, index, |value| format!("({value} +inf")),
        Filter::GreaterOrEqual(path, value) => {
            range(path, value, index, |value| format!("{value} +inf"))
        }
        Filter::Less(path, value) => range(path, value, index, |value| format!("-inf ({value}")),
        Filter::LessOrEqual(path, value) => {
            range(path, value, index, |value| format!("-inf {value}"))
        }
        Filter::In(path, values) => one_of(path, values, index),
        Filter::And(filters) => group(filters, " ", index),
        Filter::Or(filters) => group(filters, "|", index),
        other => Err(Error::unsupported(format!("the filter {other:?}"))),
    }
}

fn group(filters: &[Filter], between: &str, index: &Index) -> Result<String> {
    let parts = filters.iter().map(|filter| {
        let part = translate(filter, index)?;
        Ok(match filter {
            Filter::And(_) | Filter::Or(_) | Filter::NotEqual(..) => part,
            _ => format!("({part})"),
        })
    });
    let parts = parts.collect::<Result<Vec<String>>>()?;
    Ok(format!("({})", parts.join(between)))
}

fn equal(path: &str, value: &Value, index: &Index) -> Result<String> {
    let alias = index.alias(path)?;
    match value {
        Value::String(text) => Ok(format!("@{alias}:({})", words(path, text)?)),
        Value::Number(number) => {
            let number = exact(number);
            Ok(format!("@{alias}:[{number} {number}]"))
        }
        other => Err(operand(path, other, "a text or a number")),
    }
}

fn range(
    path: &str,
    value: &Value,
    index: &Index,
    bounds: impl Fn(&Number) -> String,
) -> Result<String> {
    let alias = index.alias(path)?;
    match value {
        Value::Number(number) => Ok(format!("@{alias}:[{}]", bounds(number))),
        other => Err(operand(path, other, "a number")),
    }
}

fn one_of(path: &str, values: &[Value], index: &Index) -> Result<String> {
    if values.len() < 2 {
        return Err(Error::invalid_request(format!(
            "too few values in IN operator for key {path:?}: expected two or more"
        )));
    }
    let alias = index.alias(path)?;
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    match texts {
        Some(texts) => {
            let texts = texts.into_iter().map(|text| {
                let words = words(path, text)?;
                // Several words are one alternative only in brackets.
                Ok(match words.contains(' ') {
                    true => format!("({words})"),
                    false => words,
                })
            });
            let texts = texts.collect::<Result<Vec<String>>>()?;
            Ok(format!("@{alias}:({})", texts.join("|")))
        }
        None => {
            let each = values.iter().map(|value| {
                let part = equal(path, value, index)?;
                Ok(format!("({part})"))
            });
            let each = each.collect::<Result<Vec<String>>>()?;
            Ok(format!("({})", each.join("|")))
        }
    }
}

/// A text as the index has it: words. What is between words when a value is indexed is so in a query, too, where it would
/// be an operator otherwise.
fn words(path: &str, text: &str) -> Result<String> {
    let is_between = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || (character.is_ascii_punctuation() && character != '_')
    };
    let words: Vec<&str> = text
        .split(is_between)
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return Err(Error::invalid_request(format!(
            "value {text:?} for key {path:?}: expected a text with a letter or a digit"
        )));
    }
    Ok(words.join(" "))
}

/// A number with six decimals, as Dapr's own component writes it, or with as many as it takes.
fn exact(number: &Number) -> String {
    let rounded = number.as_f64().map(|number| format!("{number:.6}"));
    rounded
        .filter(|rounded| rounded.parse().ok() == number.as_f64())
        .unwrap_or_else(|| number.to_string())
}

fn operand(path: &str, value: &Value, expected: &str) -> Error {
    Error::invalid_request(format!(
        "unsupported type of value {value} for key {path:?}: expected {expected}"
    ))
}
