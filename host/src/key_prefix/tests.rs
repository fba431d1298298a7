use dapr_pluggable::ErrorKind;
use proptest::prelude::*;

use super::*;

fn prefix(configured: Option<&str>, app_id: &str, namespace: Option<&str>) -> KeyPrefix {
    KeyPrefix::new(
        configured,
        PrefixContext {
            app_id,
            component: "Orders",
            namespace,
        },
    )
    .unwrap()
}

#[test]
fn each_strategy_has_its_form() {
    for (configured, app_id, namespace, stored) in [
        (None, "app", None, "app||k"),
        (Some(""), "app", Some("prod"), "app||k"),
        (Some("APPID"), "app", Some("prod"), "app||k"),
        (Some("Name"), "app", None, "Orders||k"),
        (Some("namespace"), "app", Some("prod"), "prod.app||k"),
        (Some("namespace"), "app", Some(""), "app||k"),
        (Some("namespace"), "app", None, "app||k"),
        (Some("none"), "app", None, "k"),
        (Some("MyShared"), "app", None, "myshared||k"),
        (None, "", None, "k"),
        (Some("namespace"), "", Some("prod"), "k"),
        (Some("name"), "", None, "Orders||k"),
    ] {
        let prefix = prefix(configured, app_id, namespace);
        let key = prefix.add("k").unwrap();
        assert_eq!(key, stored, "{configured:?} {app_id:?} {namespace:?}");
        assert_eq!(prefix.strip(&key), "k");
    }
}

#[test]
fn the_separator_is_refused_in_keys_and_prefixes() {
    let error = prefix(None, "app", None).add("a||b").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.to_string(),
        "input key/keyPrefix 'a||b' can't contain '||'"
    );
    let context = PrefixContext {
        app_id: "app",
        component: "st",
        namespace: None,
    };
    let error = KeyPrefix::new(Some("x||y"), context).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    assert_eq!(
        error.to_string(),
        "input key/keyPrefix 'x||y' can't contain '||'"
    );
}

#[test]
fn a_key_of_another_application_loses_its_prefix() {
    assert_eq!(prefix(None, "app", None).strip("other||k"), "k");
    assert_eq!(prefix(Some("none"), "app", None).strip("other||k"), "k");
    assert_eq!(prefix(None, "app", None).strip("bare"), "bare");
}

proptest! {
    #[test]
    fn what_is_added_is_stripped(
        configured in proptest::option::of("[a-zA-Z|. -]{0,8}"),
        app_id in "[a-z|-]{0,6}",
        namespace in proptest::option::of("[a-z]{0,4}"),
        key in "\\PC{0,12}|[|a]{0,6}",
    ) {
        let context = PrefixContext { app_id: &app_id, component: "st", namespace: namespace.as_deref() };
        prop_assume!(!configured.as_deref().unwrap_or_default().contains("||"));
        let prefix = KeyPrefix::new(configured.as_deref(), context).unwrap();
        match prefix.add(&key) {
            Ok(stored) => prop_assert_eq!(prefix.strip(&stored), key),
            Err(_) => prop_assert!(key.contains("||")),
        }
    }
}
