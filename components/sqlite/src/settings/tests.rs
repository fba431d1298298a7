use std::collections::HashMap;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::settings::{Rules, decode};

use super::*;

fn state(properties: &[(&str, &str)]) -> Result<SqliteStateSettings> {
    let settings = read::<SqliteStateSettings>(properties)?;
    settings.validate().map(|()| settings)
}

fn pubsub(properties: &[(&str, &str)]) -> Result<SqlitePubSubSettings> {
    let settings = read::<SqlitePubSubSettings>(properties)?;
    settings.validate().map(|()| settings)
}

fn read<S: serde::de::DeserializeOwned>(properties: &[(&str, &str)]) -> Result<S> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let properties: HashMap<String, String> = properties.iter().map(owned).collect();
    Ok(decode(&properties, Rules::Lenient, ALIASES)?.settings)
}

fn refused<T: std::fmt::Debug>(settings: Result<T>, words: &[&str]) {
    let error = settings.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    for word in words {
        assert!(error.message().contains(word), "{word:?} is not in {error}");
    }
}

#[test]
fn defaults_are_those_of_dapr() {
    let settings = state(&[("url", "data.db")]).unwrap();
    assert_eq!(settings.connection.connection_string.expose(), "data.db");
    assert_eq!(settings.connection.timeout, Duration::from_secs(20));
    assert_eq!(settings.connection.patience(), Duration::from_secs(2));
    assert!(!settings.connection.disable_wal);
    assert_eq!(settings.connection.synchronous, Synchronous::Full);
    assert_eq!(settings.table_name, "state");
    assert_eq!(settings.metadata_table_name, "metadata");
    assert_eq!(settings.cleanup_interval.positive(), None);
}

#[test]
fn durations_are_seconds_or_go() {
    let settings = state(&[
        ("TimeoutInSeconds", "5"),
        ("busyTimeout", "1500us"),
        ("cleanupIntervalInSeconds", "7"),
        ("disableWAL", "yes"),
        ("synchronous", "normal"),
    ])
    .unwrap();
    assert_eq!(settings.connection.timeout, Duration::from_secs(5));
    assert_eq!(settings.connection.patience(), Duration::from_millis(1));
    assert_eq!(
        settings.cleanup_interval.positive(),
        Some(Duration::from_secs(7))
    );
    assert!(settings.connection.disable_wal);
    assert_eq!(settings.connection.synchronous, Synchronous::Normal);

    let settings = state(&[("busyTimeout", "-1")]).unwrap();
    assert_eq!(settings.connection.patience(), Duration::ZERO);
}

#[test]
fn bad_values_are_named() {
    refused(state(&[("timeout", "900ms")]), &["timeout", "900ms"]);
    refused(state(&[("busyTimeout", "soon")]), &["busyTimeout", "soon"]);
    refused(
        state(&[("synchronous", "OFF")]),
        &["synchronous", "OFF", "FULL"],
    );
    for name in ["state; DROP TABLE state", "", "st\u{e4}te", "a-b", "\"a\""] {
        refused(
            state(&[("tableName", name)]),
            &["invalid identifier", "tableName"],
        );
        refused(
            state(&[("metadataTableName", name)]),
            &["invalid identifier", "metadataTableName"],
        );
        refused(
            pubsub(&[("tablePrefix", name)]),
            &["invalid identifier", "tablePrefix"],
        );
    }
}

#[test]
fn the_connection_string_is_not_shown() {
    let settings = state(&[("connectionString", "file:hidden.db")]).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
}

#[test]
fn what_happens_at_the_limit_must_be_said() {
    refused(
        pubsub(&[("maxDeliveryCount", "3")]),
        &["maxDeliveryCount", "deadLetterTopic", "drop"],
    );
    refused(
        pubsub(&[("onMaxDelivery", "drop"), ("deadLetterTopic", "dead")]),
        &["onMaxDelivery", "deadLetterTopic"],
    );
    refused(
        pubsub(&[("onMaxDelivery", "lose")]),
        &["onMaxDelivery", "lose"],
    );
    refused(
        pubsub(&[("visibilityTimeout", "0")]),
        &["visibilityTimeout", "100ms"],
    );
    assert!(pubsub(&[("maxDeliveryCount", "3"), ("deadLetterTopic", "dead")]).is_ok());
    assert!(pubsub(&[("maxDeliveryCount", "3"), ("onMaxDelivery", "drop")]).is_ok());
    assert!(
        pubsub(&[("deadLetterTopic", "")])
            .unwrap()
            .dead_letter_topic()
            .is_none()
    );
}
