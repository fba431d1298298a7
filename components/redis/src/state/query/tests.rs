use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Filter, Page, QueryItem, Sort};
use redis::Value;
use serde_json::json;

use super::*;

const INDEXES: &str = r#"[{"name": "people", "indexes": [
    {"key": "state", "type": "TEXT"},
    {"key": "person.org", "type": "TEXT"},
    {"key": "person.id", "type": "NUMERIC"}
]}]"#;

fn words(command: &Cmd) -> Vec<String> {
    let text = |arg: redis::Arg<&[u8]>| match arg {
        redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    command.args_iter().map(text).collect()
}

fn search(query: &Query) -> Result<Vec<String>> {
    Ok(words(
        &Search::new(query, &indexes(INDEXES).unwrap())?.command,
    ))
}

fn translated(filter: serde_json::Value) -> Result<String> {
    let mut query = Query::new(Filter::from_json(&filter)?.unwrap());
    query.metadata.insert("queryIndexName", "people");
    Ok(search(&query)?.remove(2))
}

#[test]
fn filters_are_translated() {
    for (filter, expected) in [
        (json!({"EQ": {"state": "CA"}}), "@var0:(CA)"),
        (json!({"NEQ": {"state": "CA"}}), "-(@var0:(CA))"),
        (
            json!({"EQ": {"person.id": 123}}),
            "@var2:[123.000000 123.000000]",
        ),
        (
            json!({"EQ": {"person.id": 0.12345678}}),
            "@var2:[0.12345678 0.12345678]",
        ),
        (json!({"GT": {"person.id": 11.1}}), "@var2:[(11.1 +inf]"),
        (json!({"GTE": {"person.id": 5}}), "@var2:[5 +inf]"),
        (json!({"LT": {"person.id": -5}}), "@var2:[-inf (-5]"),
        (json!({"LTE": {"person.id": 0.5}}), "@var2:[-inf 0.5]"),
        (json!({"IN": {"state": ["CA", "WA"]}}), "@var0:(CA|WA)"),
        (
            json!({"IN": {"state": ["New York", "WA"]}}),
            "@var0:((New York)|WA)",
        ),
        (
            json!({"IN": {"person.id": [1, 2]}}),
            "((@var2:[1.000000 1.000000])|(@var2:[2.000000 2.000000]))",
        ),
        (
            json!({"AND": [{"EQ": {"person.org": "A"}}, {"IN": {"state": ["CA", "WA"]}}]}),
            "((@var1:(A)) (@var0:(CA|WA)))",
        ),
        (
            json!({"OR": [
                {"EQ": {"person.id": 123}},
                {"AND": [{"NEQ": {"person.org": "B"}}, {"IN": {"person.id": [567.8, 890]}}]}
            ]}),
            "((@var2:[123.000000 123.000000])|(-(@var1:(B)) (((@var2:[567.800000 567.800000])|(@var2:[890.000000 890.000000])))))",
        ),
        (
            json!({"EQ": {"state": "a) | @var1:(b*"}}),
            "@var0:(a var1 b)",
        ),
        (json!({"EQ": {"state": "\\-x_y\n"}}), "@var0:(x_y)"),
    ] {
        assert_eq!(translated(filter).unwrap(), expected);
    }
}

#[test]
fn what_cannot_be_searched_is_an_error() {
    for filter in [
        json!({"EQ": {"person": "A"}}),
        json!({"EQ": {"state": true}}),
        json!({"EQ": {"state": "--"}}),
        json!({"GT": {"state": "A"}}),
        json!({"IN": {"state": ["A"]}}),
        json!({"IN": {"state": ["A", null]}}),
    ] {
        let error = translated(filter.clone()).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidRequest, "{filter}");
    }
    let mut query = Query::default();
    assert!(
        search(&query)
            .unwrap_err()
            .message()
            .contains("queryIndexName")
    );
    query.metadata.insert("queryIndexName", "others");
    assert!(search(&query).unwrap_err().message().contains("\"others\""));
    query.metadata.insert("queryIndexName", "people");
    query.sort = vec![
        Sort::new("state", Order::Ascending),
        Sort::new("person.id", Order::Ascending),
    ];
    assert!(search(&query).unwrap_err().message().contains("SORTBY"));
    query.sort.clear();
    query.page = Page::after(2, "next");
    assert!(search(&query).unwrap_err().message().contains("\"next\""));
}

#[test]
fn sorts_and_pages_are_translated() {
    let mut query = Query::default();
    query.metadata.insert("queryIndexName", "people");
    let tail = ["RETURN", "2", "$.data", "$.version"];
    let mut expected = vec!["FT.SEARCH", "people", "*"];
    expected.extend(tail);
    assert_eq!(search(&query).unwrap(), expected);

    query.sort = vec![Sort::new("person.id", Order::Descending)];
    query.page = Page::after(3, "6");
    let mut expected = vec![
        "FT.SEARCH",
        "people",
        "*",
        "SORTBY",
        "var2",
        "DESC",
        "LIMIT",
        "6",
        "3",
    ];
    expected.extend(tail);
    assert_eq!(search(&query).unwrap(), expected);
}

#[test]
fn indexes_are_read_and_made() {
    let read = indexes(INDEXES).unwrap();
    assert_eq!(
        words(&read[0].create()).join(" "),
        "FT.CREATE people ON JSON SCHEMA $.data.state AS var0 TEXT SORTABLE $.data.person.org AS var1 TEXT SORTABLE \
         $.data.person.id AS var2 NUMERIC SORTABLE"
    );
    assert_eq!(words(&read[0].drop()), ["FT.DROPINDEX", "people"]);
    assert!(indexes("").unwrap().is_empty());
    for bad in [
        "people",
        "{}",
        r#"[{"indexes": []}]"#,
        r#"[{"name": "a"}, {"name": "a"}]"#,
        r#"[{"name": "a", "indexes": [{"key": "", "type": "TEXT"}]}]"#,
        r#"[{"name": "a", "indexes": [{"key": "b"}]}]"#,
    ] {
        let error = indexes(bad).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{bad}");
        assert!(error.message().contains("queryIndexes"), "{error}");
    }
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn members(data: &str, version: &str) -> Vec<(Value, Value)> {
    vec![
        (bulk("$.version"), bulk(version)),
        (bulk("$.data"), bulk(data)),
    ]
}

#[test]
fn answers_of_both_protocols_are_read() {
    let flat = members("1", "3").into_iter();
    let flat = flat.flat_map(|(name, value)| [name, value]).collect();
    let array = Value::Array(vec![
        Value::Int(9),
        bulk("a"),
        Value::Array(flat),
        bulk("b"),
        Value::Nil,
    ]);
    let result = |key: &str, members: Vec<(Value, Value)>| {
        Value::Map(vec![
            (Value::SimpleString("id".into()), bulk(key)),
            (bulk("extra_attributes"), Value::Map(members)),
            (bulk("values"), Value::Array(Vec::new())),
        ])
    };
    let map = Value::Map(vec![
        (bulk("total_results"), Value::Int(9)),
        (
            bulk("results"),
            Value::Array(vec![
                result("a", members("1", "3")),
                result("b", Vec::new()),
            ]),
        ),
    ]);
    for answer in [array, map] {
        let page = page(answer, Some(4)).unwrap();
        assert_eq!(page.token.as_deref(), Some("6"));
        let [a, b]: [QueryItem; 2] = page.items.try_into().unwrap();
        assert_eq!(
            (a.key.as_str(), &a.value[..], a.error),
            ("a", &b"1"[..], None)
        );
        assert_eq!(a.etag, Some("3".into()));
        assert_eq!((b.key.as_str(), b.error.is_some()), ("b", true));
    }
}

#[test]
fn nothing_found_is_no_error_and_no_further_page() {
    let none = Value::Map(vec![
        (bulk("total_results"), Value::Int(0)),
        (bulk("results"), Value::Array(Vec::new())),
    ]);
    for answer in [none, Value::Array(vec![Value::Int(0)])] {
        let page = page(answer, Some(0)).unwrap();
        assert!(page.items.is_empty());
        assert_eq!(page.token, None);
    }
    assert!(page(Value::Okay, None).is_err());
}
