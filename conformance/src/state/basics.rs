//! One key at a time.

use bytes::Bytes;
use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{DeleteRequest, GetRequest, SetRequest};

use super::{Store, check};
use crate::check::{Check, Verdict};
use crate::expect::{equal, refused};

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("round_trip", &[], round_trip),
        check("missing_key", &[], missing_key),
        check("empty_key", &[], empty_key),
        check("overwrite", &[], overwrite),
        check("delete", &[], delete),
        check("delete_missing", &[], delete_missing),
        check("odd_keys", &[], odd_keys),
    ]
}

/// Values are bytes and come back as they went in.
async fn round_trip(store: Store) -> Verdict {
    let values = [
        ("every-byte", Bytes::from_iter(0..=u8::MAX)),
        ("not-utf-8", Bytes::from_static(&[0xff, 0xc3, 0x28, 0x00])),
        ("text", Bytes::from("grüße, 世界")),
        (
            "json",
            Bytes::from(r#"{ "b": 1.0, "a": 12345678901234567890 }"#),
        ),
        ("json-text", Bytes::from(r#""quoted""#)),
        ("number", Bytes::from("123")),
        ("line", Bytes::from("ends with a line feed\n")),
        ("large", Bytes::from(vec![b'x'; 1024 * 1024])),
    ];
    for (name, value) in values {
        let key = store.key(name);
        store.put(&key, value.clone()).await?;
        let entry = store.entry(&key).await?;
        let found = entry.map(|entry| entry.value);
        // A value of a megabyte is nothing to read in a report.
        equal(
            format!("whether the value {name} comes back"),
            found == Some(value),
            true,
        )?;
    }
    Ok(())
}

async fn missing_key(store: Store) -> Verdict {
    let entry = store.entry(&store.key("missing")).await?;
    equal("a missing key", entry, None)
}

async fn empty_key(store: Store) -> Verdict {
    let kinds = [ErrorKind::InvalidRequest];
    let get = store.store.get(GetRequest::new("")).await;
    refused("a get of an empty key", get, &kinds)?;
    let set = store.store.set(SetRequest::new("", "value")).await;
    refused("a set of an empty key", set, &kinds)?;
    let delete = store.store.delete(DeleteRequest::new("")).await;
    refused("a delete of an empty key", delete, &kinds)?;
    Ok(())
}

async fn overwrite(store: Store) -> Verdict {
    let key = store.stored("key", "first").await?;
    store.put(&key, "second").await?;
    store.holds(&key, Some("second")).await
}

async fn delete(store: Store) -> Verdict {
    let gone = store.stored("gone", "value").await?;
    let kept = store.stored("kept", "value").await?;
    store.delete(&gone).await?;
    store.holds(&gone, None).await?;
    store.holds(&kept, Some("value")).await
}

async fn delete_missing(store: Store) -> Verdict {
    let key = store.key("missing");
    store.delete(&key).await?;
    store.holds(&key, None).await
}

/// Keys are text, compared as a whole: no character has a meaning, none is folded into another.
async fn odd_keys(store: Store) -> Verdict {
    let names = [
        "case",
        "CASE",
        "%",
        "_",
        "*",
        "?",
        "[a]",
        "'",
        "\"",
        "\\",
        "; DROP TABLE state; --",
        "{x}",
        "a b",
        " a b",
        "line\nfeed",
        "/",
        "../up",
        "a||b",
        "ä",
        "a\u{308}",
        "🦀",
        "zero\u{0}byte",
    ];
    let keys: Vec<String> = names.iter().map(|name| store.key(name)).collect();
    for key in &keys {
        store.put(key, key.clone()).await?;
    }
    for key in &keys {
        let entry = store.entry(key).await?;
        equal(
            format!("the value of {key:?}"),
            entry.map(|entry| entry.value),
            Some(Bytes::from(key.clone())),
        )?;
    }
    let long = store.key(&"k".repeat(1024));
    store.put(&long, "long").await?;
    store.holds(&long, Some("long")).await
}
