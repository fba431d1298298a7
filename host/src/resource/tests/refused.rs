//! What is left out, and whether the message says where and why.

use super::*;

/// A component with `lines` in place of its spec, which begins on line 5.
fn with_spec(lines: &str) -> String {
    format!("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: bad}}\n\n{lines}\n")
}

#[test]
fn a_wrong_type_names_file_line_and_expectation() {
    for (text, line, expected) in [
        (
            with_spec("spec:\n  type: state.x\n  version: 1"),
            7,
            "spec.version: expected a string, found a number (write \"1\")",
        ),
        (
            with_spec("spec:\n  type: [a]"),
            6,
            "spec.type: expected a string, found a list",
        ),
        (
            with_spec("spec: text"),
            5,
            "spec: expected a map, found a string",
        ),
        (
            with_spec("spec:\n  ignoreErrors: \"true\""),
            6,
            "spec.ignoreErrors: expected true or false, found a string",
        ),
        (
            with_spec("spec:\n  initTimeout: 5"),
            6,
            "spec.initTimeout: expected a string, found a number (write \"5\")",
        ),
        (
            with_spec("spec:\n  metadata: {a: b}"),
            6,
            "spec.metadata: expected a list, found a map",
        ),
        (
            with_spec("spec:\n  metadata:\n  - name: a\n  - b"),
            8,
            "spec.metadata[1]: expected a map, found a string",
        ),
        (
            with_spec("spec:\n  metadata:\n  - name: a\n  - name: true"),
            8,
            "spec.metadata[1].name: expected a string, found a boolean (write \"true\")",
        ),
        (
            with_spec("spec:\n  metadata:\n  - value: a"),
            7,
            "spec.metadata[0].name: a property needs a name",
        ),
        (
            with_spec("spec:\n  metadata:\n  - name: a\n    secretKeyRef: text"),
            8,
            "spec.metadata[0].secretKeyRef: expected a map, found a string",
        ),
        (
            with_spec("auth: [x]"),
            5,
            "auth: expected a map, found a list",
        ),
        (
            with_spec("scopes: app"),
            5,
            "scopes: expected a list, found a string",
        ),
        (
            with_spec("scopes:\n- a\n- 1"),
            7,
            "scopes: expected a list of app ids, found a number",
        ),
        (
            minimal("a/b"),
            3,
            "metadata.name: invalid value \"a/b\": a name cannot contain '/' or '%'",
        ),
        (
            minimal("'..'"),
            3,
            "metadata.name: invalid value \"..\": a name cannot be '.' or '..'",
        ),
        (
            minimal(""),
            3,
            "metadata.name: invalid value \"\": a component needs a name",
        ),
        (
            "text\n".to_owned(),
            1,
            "the document: expected a map, found a string",
        ),
        (
            minimal("st").replace("v1alpha1", "v1"),
            1,
            "apiVersion: invalid value \"dapr.io/v1\": expected dapr.io/v1alpha1",
        ),
        (
            minimal("st").replace("Component", "component"),
            2,
            "kind: invalid value \"component\": expected Component, spelled so",
        ),
    ] {
        // A good document before and one after it stay, and lines are counted from the beginning of the file.
        let before = format!("# first\n{}---\n", minimal("before"));
        let offset = before.lines().count() as u64 - 1;
        for (text, line) in [
            (text.clone(), line),
            (
                format!("{before}{}---\n{}", text, minimal("after")),
                line + offset + 1,
            ),
        ] {
            let resources = load(&text);
            let [problem] = &resources.problems[..] else {
                panic!("{text}: {:?}", resources.problems)
            };
            assert_eq!(
                (problem.line, problem.message.as_str()),
                (Some(line), expected),
                "{text}"
            );
            let shown = problem.to_string();
            assert!(
                shown.contains(&format!("a.yaml:{line}: {expected}")),
                "{shown}"
            );
            if text.contains("before") {
                assert_eq!(names(&resources), ["before", "after"]);
            }
        }
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    let text = format!(
        "{}---\na: [1, 2\nb: 3\n---\n{}",
        minimal("one"),
        minimal("two")
    );
    let resources = load(&text);
    assert_eq!(names(&resources), ["one", "two"]);
    let [problem] = &resources.problems[..] else {
        panic!("{:?}", resources.problems)
    };
    let line = problem.line.unwrap();
    assert!((6..=8).contains(&line), "{problem}");
}

#[test]
fn a_file_that_is_no_text_is_left_out() {
    let (_folder, path) = folder(&[("b.yaml", &minimal("st"))]);
    fs::write(path.join("a.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let filter = ScopeFilter {
        app_id: "app",
        namespace: None,
    };
    let resources = Resources::load(&[path], filter).unwrap();
    assert_eq!(names(&resources), ["st"]);
    assert_eq!(resources.problems.len(), 1);
    assert!(
        resources.problems[0].to_string().contains("a.yaml: "),
        "{:?}",
        resources.problems
    );
}
