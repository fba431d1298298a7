//! The recorded cases.

use std::collections::BTreeMap;

use dapr_pluggable_testbed::HttpRequest;
use serde::Deserialize;
use serde_json::Value;

const CASES: &str = include_str!("cases.jsonl");

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) env: String,
    #[serde(default)]
    pub(crate) setup: Vec<Request>,
    #[serde(flatten)]
    pub(crate) request: Request,
    #[serde(default)]
    pub(crate) loose: Vec<String>,
    pub(crate) expect: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

impl From<&Request> for HttpRequest {
    fn from(request: &Request) -> Self {
        let mut sent = Self::new(&request.method, &request.path);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        match &request.body {
            Some(body) => sent.body(body.as_str()),
            None => sent,
        }
    }
}

pub(crate) fn all() -> Vec<Case> {
    CASES
        .lines()
        .map(|line| serde_json::from_str(&expand(line)).expect(line))
        .collect()
}

/// `{{x*64}}` becomes 64 times `x`.
fn expand(line: &str) -> String {
    let mut expanded = String::with_capacity(line.len());
    let mut parts = line.split("{{");
    expanded.extend(parts.next());
    for part in parts {
        match part.split_once("}}").and_then(|(run, rest)| {
            let (text, count) = run.split_once('*')?;
            Some((text.repeat(count.parse().ok()?), rest))
        }) {
            Some((run, rest)) => {
                expanded.push_str(&run);
                expanded.push_str(rest);
            }
            None => {
                expanded.push_str("{{");
                expanded.push_str(part);
            }
        }
    }
    expanded
}
