//! Whether two answers are the same.
//!
//! - JSON in bodies and in values is compared as JSON: the order of members does not count, numbers are compared by their
//!   text.
//! - Of `date`, `content-length`, `connection` nothing is compared, of `traceparent` that it is there. The case of header
//!   names does not count, except of `Metadata.…`.
//! - A value over 20000 characters is compared by its length.
//! - In cases that are loose in `message`, the text of a JSON decoder is not compared.

use dapr_pluggable_testbed::HttpAnswer;
use serde_json::{Map, Value, json};

use crate::case::Case;

const LONG: usize = 20_000;

/// Where the answer and the calls differ from what is expected.
pub(crate) fn differences(case: &Case, answer: &HttpAnswer, calls: Vec<Value>) -> Vec<String> {
    let headers: Map<String, Value> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let name = if lower.starts_with("metadata.") {
                name.clone()
            } else {
                lower
            };
            match name.as_str() {
                "date" | "content-length" | "connection" => None,
                "traceparent" => Some((name, json!("present"))),
                _ => Some((name, json!(value))),
            }
        })
        .collect();
    let got = json!({
        "status": answer.status,
        "headers": headers,
        "body": answer.text(),
        "component": calls,
    });
    let loose = case.loose.iter().any(|part| part == "message");
    let mut found = Vec::new();
    compare(
        "",
        &prepare(&case.expect, loose),
        &prepare(&got, loose),
        &mut found,
    );
    found
}

fn prepare(answer: &Value, loose: bool) -> Value {
    let mut answer = normal(answer);
    if loose && let Some(Value::Object(body)) = answer.pointer_mut("/body/<json>") {
        body.remove("message");
    }
    answer
}

/// The value with every text that is JSON read as JSON.
fn normal(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.trim().bytes().next() {
            Some(b'{' | b'[') => match serde_json::from_str::<Value>(&quote_numbers(text.trim())) {
                Ok(json) => json!({ "<json>": normal(&json) }),
                Err(_) => value.clone(),
            },
            _ if text.chars().count() > LONG => {
                json!(format!("<{} characters>", text.chars().count()))
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), normal(member)))
            .collect(),
        _ => value.clone(),
    }
}

/// The JSON text with each number as a string `#<its text>`.
fn quote_numbers(json: &str) -> String {
    let mut quoted = String::with_capacity(json.len());
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    for character in json.chars() {
        let numeric = !in_string && matches!(character, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        // A number begins with a digit or a sign; the `e` of `true` does not.
        let begins = matches!(character, '0'..='9' | '-');
        if !in_number && numeric && begins {
            in_number = true;
            quoted.push_str("\"#");
        } else if in_number && !numeric {
            in_number = false;
            quoted.push('"');
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        quoted.push(character);
    }
    quoted
}

fn compare(at: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, member) in left {
                match right.get(name) {
                    Some(other) => compare(&format!("{at}.{name}"), member, other, found),
                    None => found.push(format!("{at}.{name}: missing, expected {}", short(member))),
                }
            }
            for (name, other) in right {
                if !left.contains_key(name) {
                    found.push(format!("{at}.{name}: unexpected {}", short(other)));
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (item, other)) in left.iter().zip(right).enumerate() {
                compare(&format!("{at}[{index}]"), item, other, found);
            }
        }
        _ if expected == got => {}
        _ => found.push(format!(
            "{at}: expected {} got {}",
            short(expected),
            short(got)
        )),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
