//! The files, read.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A file of deploy/ as text.
pub(crate) fn text(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let path = folder.join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The documents of a YAML file.
pub(crate) fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one document of that kind.
pub(crate) fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    let first = found.next();
    assert!(found.next().is_none(), "more than one {kind}");
    first.unwrap_or_else(|| panic!("there is no {kind}"))
}

/// A list of words.
pub(crate) fn words(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is no list"));
    let word = |word: &Value| word.as_str().expect("a word").to_owned();
    list.iter().map(word).collect()
}

/// A named item of a list.
pub(crate) fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut list = list.as_array().into_iter().flatten();
    let found = list.find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("nothing is named {name}"))
}

/// The words of a command line that has no quotes.
pub(crate) fn split(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
