mod refused;
mod values;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use dapr_pluggable::ErrorKind;

use super::*;

/// A resources folder with files of these names and texts.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

fn load_for(files: &[(&str, &str)], app_id: &str, namespace: Option<&str>) -> Resources {
    let (_folder, path) = folder(files);
    Resources::load(&[path], ScopeFilter { app_id, namespace }).unwrap()
}

fn load(text: &str) -> Resources {
    load_for(&[("a.yaml", text)], "app", None)
}

/// The one component of a text.
fn component(text: &str) -> ComponentResource {
    let mut resources = load(text);
    assert_eq!(resources.problems, []);
    assert_eq!(resources.components.len(), 1, "{text}");
    resources.components.remove(0)
}

fn minimal(name: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\nspec: {{type: state.x}}\n"
    )
}

fn names(resources: &Resources) -> Vec<&str> {
    resources
        .components
        .iter()
        .map(|component| component.identity.name.as_str())
        .collect()
}

#[test]
fn a_whole_component_is_read() {
    let read = component(
        r#"
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: orders
  namespace: prod
  annotations: {a: b}
auth:
  secretStore: vault
scopes: [app, other]
spec:
  type: state.redis
  version: v1
  ignoreErrors: true
  initTimeout: 1m30s
  metadata:
  - name: host
    value: localhost:6379
  - name: password
    secretKeyRef: {name: redis, key: pass}
  - name: user
    secretKeyRef: {name: redis-user}
  - name: region
    envRef: REGION
"#,
    );
    let Source::File { path, line } = &read.source else {
        panic!("{:?}", read.source)
    };
    assert_eq!(
        (path.file_name().unwrap().to_str(), *line),
        (Some("a.yaml"), 2)
    );
    assert_eq!(read.identity.to_string(), "orders (state.redis/v1)");
    assert_eq!(read.namespace, "prod");
    assert_eq!(read.secret_store, "vault");
    assert_eq!(read.scopes, ["app", "other"]);
    assert!(read.ignore_errors);
    assert_eq!(read.init_timeout, Duration::from_secs(90));
    let property = |name: &str| Property {
        name: name.to_owned(),
        value: None,
        secret: None,
        env: None,
    };
    let secret = |name: &str, key: &str| {
        Some(SecretKeyRef {
            name: name.to_owned(),
            key: key.to_owned(),
        })
    };
    assert_eq!(
        read.properties,
        [
            Property {
                value: Some("localhost:6379".to_owned()),
                ..property("host")
            },
            Property {
                secret: secret("redis", "pass"),
                ..property("password")
            },
            Property {
                secret: secret("redis-user", "redis-user"),
                ..property("user")
            },
            Property {
                env: Some("REGION".to_owned()),
                ..property("region")
            },
        ]
    );
}

#[test]
fn field_names_count_in_any_case_and_the_last_wins() {
    let read = component(
        r#"
APIVERSION: dapr.io/v1alpha1
Kind: Component
Metadata: {NAME: first, name: orders, Unknown: 1}
Auth: {secretstore: vault}
SCOPES: [app]
Spec:
  TYPE: state.redis
  Version: v1
  ignoreerrors: true
  INITTIMEOUT: 2s
  metaData:
  - {NAME: Host, Value: a, value: b}
  - {name: pw, SecretKeyRef: {NAME: s, KEY: k}}
  - {name: env, ENVREF: X}
  unknown: {a: b}
"#,
    );
    assert_eq!(read.identity.to_string(), "orders (state.redis/v1)");
    assert_eq!(read.secret_store, "vault");
    assert_eq!(read.scopes, ["app"]);
    assert!(read.ignore_errors);
    assert_eq!(read.init_timeout, Duration::from_secs(2));
    let [host, password, env] = &read.properties[..] else {
        panic!("{:?}", read.properties)
    };
    assert_eq!(
        (host.name.as_str(), host.value.as_deref()),
        ("Host", Some("b"))
    );
    assert_eq!(password.secret.as_ref().unwrap().key, "k");
    assert_eq!(env.env.as_deref(), Some("X"));
}

#[test]
fn what_is_absent_has_daprs_defaults() {
    let read = component(&minimal("st"));
    assert_eq!(read.identity.to_string(), "st (state.x/)");
    assert_eq!(read.init_timeout, DEFAULT_INIT_TIMEOUT);
    assert!(!read.ignore_errors);
    assert!(read.properties.is_empty() && read.scopes.is_empty());
    for text in ["5", "soon", "-1s", "0s", ""] {
        let text = minimal("st").replace("spec: {", &format!("spec: {{initTimeout: \"{text}\", "));
        assert_eq!(
            component(&text).init_timeout,
            DEFAULT_INIT_TIMEOUT,
            "{text}"
        );
    }
}

#[test]
fn files_come_by_name_and_documents_in_their_order() {
    let two = format!(
        "---\n{}---\n# nothing here\n---\n{}",
        minimal("b"),
        minimal("a")
    );
    let resources = load_for(
        &[
            ("z.YML", &minimal("last")),
            ("10.yaml", &two),
            ("9.Yaml", &minimal("middle")),
            ("notes.txt", "not: yaml: at: all"),
            ("empty.yaml", ""),
            ("comment.yaml", "# nothing\n"),
        ],
        "app",
        None,
    );
    assert_eq!(resources.problems, []);
    assert_eq!(names(&resources), ["b", "a", "middle", "last"]);
}

#[test]
fn sub_folders_are_left_out_and_several_folders_are_read_in_their_order() {
    let (first, first_path) = folder(&[("z.yaml", &minimal("one"))]);
    let (_second, second_path) = folder(&[("a.yaml", &minimal("two"))]);
    fs::create_dir(first.path().join("deep.yaml")).unwrap();
    fs::write(first.path().join("deep.yaml/x.yaml"), minimal("deep")).unwrap();
    let filter = ScopeFilter {
        app_id: "app",
        namespace: None,
    };
    let resources = Resources::load(&[first_path, second_path], filter).unwrap();
    assert_eq!(names(&resources), ["one", "two"]);
}

#[test]
fn other_documents_are_passed_over_and_subscriptions_are_noted() {
    let text = r"
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: c}
---
apiVersion: v1
kind: Component
---
apiVersion: apps/v1
kind: Deployment
---
a: b
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: s2}
---
apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: s1}
";
    let resources = load(text);
    assert_eq!(resources.problems, []);
    assert_eq!(resources.subscriptions, ["s2", "s1"]);
    assert!(resources.components.is_empty());
}

#[test]
fn scopes_and_namespaces_choose() {
    let scoped = |name: &str, scopes: &str| format!("{}scopes: {scopes}\n", minimal(name));
    let spaced = |name: &str, namespace: &str| {
        minimal(name).replace("{name:", &format!("{{namespace: {namespace}, name:"))
    };
    let files = [
        scoped("all", "[]"),
        scoped("mine", "[other, app]"),
        scoped("others", "[other]"),
        scoped("case", "[App]"),
        spaced("prod", "prod"),
        spaced("dev", "dev"),
    ];
    let files: Vec<(String, &str)> = files
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("{index}.yaml"), text.as_str()))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    for (namespace, expected) in [
        (None, &["all", "mine", "prod", "dev"][..]),
        (Some("prod"), &["all", "mine", "prod"][..]),
        (Some("test"), &["all", "mine"][..]),
    ] {
        assert_eq!(names(&load_for(&files, "app", namespace)), expected);
    }
}

#[test]
fn two_of_one_name_are_an_error_that_names_both() {
    let (_folder, path) = folder(&[
        ("a.yaml", &minimal("mem")),
        (
            "b.yaml",
            &format!(
                "\n{}",
                minimal("mem").replace("{type: state.x}", "{type: pubsub.y, version: v1}")
            ),
        ),
    ]);
    let filter = ScopeFilter {
        app_id: "app",
        namespace: None,
    };
    let error = Resources::load(&[path], filter).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    let text = error.to_string();
    assert!(
        text.starts_with(
            "duplicate definition of Component name mem (pubsub.y/v1) with existing mem (state.x/)"
        ),
        "{text}"
    );
    assert!(
        text.contains("b.yaml:2") && text.contains("a.yaml:1"),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let (_folder, path) = folder(&[]);
    let filter = ScopeFilter {
        app_id: "app",
        namespace: None,
    };
    let missing = path.join("none");
    let error = Resources::load(&[path, missing.clone()], filter).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    assert!(
        error.to_string().contains(&*missing.to_string_lossy()),
        "{error}"
    );
}

#[test]
fn what_is_no_regular_file_is_passed_over() {
    let (folder, path) = folder(&[("b.yaml", &minimal("st"))]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.yaml")).unwrap();
    let linked = folder.path().join("linked");
    fs::write(&linked, minimal("linked")).unwrap();
    std::os::unix::fs::symlink(&linked, folder.path().join("c.yaml")).unwrap();
    let filter = ScopeFilter {
        app_id: "app",
        namespace: None,
    };
    let resources = Resources::load(&[path], filter).unwrap();
    assert_eq!(names(&resources), ["st", "linked"]);
    assert_eq!(resources.problems, []);
}

#[test]
fn debug_output_shows_no_value() {
    let property = Property {
        name: "redisPassword".to_owned(),
        value: Some("open sesame".to_owned()),
        secret: None,
        env: None,
    };
    let shown = format!("{property:?}");
    assert!(shown.contains("redisPassword"), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
}
