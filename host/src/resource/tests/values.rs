//! What a property's `value` becomes.

use super::*;

fn value(text: &str) -> Option<String> {
    let component = component(&format!(
        "{}  metadata:\n  - name: p\n    value: {text}\n",
        minimal("st").replace("spec: {type: state.x}", "spec:\n  type: state.x")
    ));
    component.properties[0].value.clone()
}

#[test]
fn strings_are_themselves_and_the_rest_is_json() {
    for (yaml, expected) in [
        ("text", "text"),
        ("\"quoted\\n\"", "quoted\n"),
        ("''", ""),
        ("'true'", "true"),
        ("true", "true"),
        ("False", "false"),
        ("7", "7"),
        ("-3", "-3"),
        ("\"7\"", "7"),
        ("0x10", "16"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.50", "1.5"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("12345678901234567890", "12345678901234567890"),
        // Words and codes that older YAML takes for booleans and octal numbers.
        ("n", "n"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("010", "010"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("2001-01-01", "2001-01-01"),
        ("{b: 1, a: [x, null]}", r#"{"a":["x",null],"b":1}"#),
        ("{B: 1, a: 2, b: 3}", r#"{"B":1,"a":2,"b":3}"#),
        ("{a: 1, a: 2}", r#"{"a":2}"#),
        ("{1: a, true: b}", r#"{"1":"a","true":"b"}"#),
        (
            "{c: {z: \"a\\\"b\", y: true}}",
            r#"{"c":{"y":true,"z":"a\"b"}}"#,
        ),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1, \"1\", 1.5]", r#"[1,"1",1.5]"#),
        ("|\n      two\n      lines", "two\nlines\n"),
        (">-\n      one\n      line", "one line"),
    ] {
        assert_eq!(value(yaml).as_deref(), Some(expected), "{yaml}");
    }
}

#[test]
fn null_is_no_value() {
    for yaml in ["", "null", "~"] {
        assert_eq!(value(yaml), None, "{yaml:?}");
    }
}

#[test]
fn anchors_and_merges_are_followed() {
    let read = component(
        r"
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: st}
spec:
  type: state.x
  metadata:
  - &first {name: a, value: &v same}
  - <<: *first
    name: b
  - {name: c, value: *v}
",
    );
    let seen: Vec<_> = read
        .properties
        .iter()
        .map(|property| (property.name.as_str(), property.value.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", Some("same")),
            ("b", Some("same")),
            ("c", Some("same"))
        ]
    );
}
