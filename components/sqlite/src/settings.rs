//! The metadata of the state store and of the broker.

use std::time::Duration;

use dapr_pluggable::settings::{Aliases, GoDuration, Redacted, Shared};
use dapr_pluggable::{Error, Result};
use serde::Deserialize;

/// Other names of keys, the same as those of Dapr's own SQLite component.
pub(crate) const ALIASES: Aliases = &[
    ("connectionString", &["url"]),
    ("timeout", &["timeoutInSeconds"]),
    ("cleanupInterval", &["cleanupIntervalInSeconds"]),
];

/// The database and how to use it: what the state store and the broker have in common.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// The database file, as a path or as a URI that SQLite understands: `data.db`, `file:/var/lib/app/data.db?mode=ro`,
    /// `:memory:`. Its folder must exist. `mode=ro` and `immutable=1` open it for reading only, `_pragma=name(value)` runs a
    /// pragma on every connection (`busy_timeout`, `journal_mode` and `foreign_keys` have keys of their own or are refused).
    /// A database in memory is shared by the components of one process that name it alike.
    ///
    /// Required.
    ///
    /// Example: `/var/lib/app/data.db`
    pub connection_string: Redacted<String>,
    /// How long one operation may take, the wait for its turn included; at least a second.
    ///
    /// Default: `20s`
    ///
    /// Example: `5s`
    pub timeout: Duration,
    /// How long to wait for a lock that another process holds on the database. Zero or less does not wait.
    ///
    /// Default: `2s`
    ///
    /// Example: `500ms`
    pub busy_timeout: GoDuration,
    /// Keeps a rollback journal instead of a write-ahead log. Needed on network file systems; slower, and readers and
    /// writers wait for one another.
    ///
    /// Default: `false`
    ///
    /// Example: `true`
    #[serde(rename = "disableWAL")]
    pub disable_wal: bool,
    /// `FULL` has every acknowledged write on the disk. With `NORMAL` and a write-ahead log a power failure (not the end of
    /// a process) may undo the last of them. Dapr's own component has no such key.
    ///
    /// Default: `FULL`
    ///
    /// Example: `NORMAL`
    pub synchronous: Synchronous,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connection_string: Redacted::default(),
            timeout: Duration::from_secs(20),
            busy_timeout: GoDuration::from_nanos(2_000_000_000),
            disable_wal: false,
            synchronous: Synchronous::Full,
        }
    }
}

impl ConnectionSettings {
    /// How long to wait for a lock: whole milliseconds, none for zero or less.
    pub(crate) fn patience(&self) -> Duration {
        let patience = self.busy_timeout.positive().unwrap_or_default();
        Duration::from_millis(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX))
    }

    fn validate(&self) -> Result<()> {
        if self.timeout < Duration::from_secs(1) {
            return Err(Error::invalid_settings(format!(
                "invalid value for 'timeout': must be at least 1s, not {:?}",
                self.timeout
            )));
        }
        Ok(())
    }
}

/// When a write is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Synchronous {
    /// Before it is acknowledged.
    #[default]
    #[serde(alias = "full")]
    Full,
    /// When the write-ahead log is next copied into the database.
    #[serde(alias = "normal")]
    Normal,
}

impl Synchronous {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// The metadata of the state store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct SqliteStateSettings {
    /// The database.
    pub connection: Shared<ConnectionSettings>,
    /// The table of the values: letters, digits and underscores.
    ///
    /// Default: `state`
    ///
    /// Example: `orders_state`
    pub table_name: String,
    /// The table of what the component notes for itself: letters, digits and underscores.
    ///
    /// Default: `metadata`
    ///
    /// Example: `orders_metadata`
    pub metadata_table_name: String,
    /// How often to remove values whose time to live is over. They are never seen, removed or not. Zero or less is never.
    ///
    /// Default: `0`
    ///
    /// Example: `1h`
    pub cleanup_interval: GoDuration,
}

impl Default for SqliteStateSettings {
    fn default() -> Self {
        Self {
            connection: Shared::default(),
            table_name: "state".to_owned(),
            metadata_table_name: "metadata".to_owned(),
            cleanup_interval: GoDuration::default(),
        }
    }
}

impl SqliteStateSettings {
    pub(crate) fn validate(&self) -> Result<()> {
        self.connection.validate()?;
        identifier("tableName", &self.table_name)?;
        identifier("metadataTableName", &self.metadata_table_name)
    }
}

/// The metadata of the broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct SqlitePubSubSettings {
    /// The database.
    pub connection: Shared<ConnectionSettings>,
    /// The consumer group of this runtime's subscriptions: a message goes to one subscriber of each group. The runtime sets
    /// it to the application's id; without it, it is the name of the component.
    ///
    /// Example: `billing`
    #[serde(rename = "consumerID")]
    pub consumer_id: Option<String>,
    /// What the names of the broker's tables begin with: letters, digits and underscores.
    ///
    /// Default: `pubsub_`
    ///
    /// Example: `orders_`
    pub table_prefix: String,
    /// After what time a message comes again whose subscriber stands still or is gone without a trace. It counts from the
    /// later of the message's sending and the last answer on its stream. A stream that ends gives its messages back at once. At
    /// least 100ms.
    ///
    /// Default: `60s`
    ///
    /// Example: `5m`
    pub visibility_timeout: Duration,
    /// How long a message that the application rejected waits before it comes again.
    ///
    /// Default: `200ms`
    ///
    /// Example: `10s`
    pub redeliver_interval: Duration,
    /// How often a message may be rejected or time out before `onMaxDelivery` applies. Zero is without limit.
    ///
    /// Default: `0`
    ///
    /// Example: `5`
    pub max_delivery_count: u32,
    /// The topic for messages that came `maxDeliveryCount` times. On that topic itself there is no limit.
    ///
    /// Example: `poison`
    pub dead_letter_topic: Option<String>,
    /// What becomes of a message that came `maxDeliveryCount` times: `deadLetter` moves it to `deadLetterTopic`, `drop`
    /// removes it.
    ///
    /// Default: `deadLetter`
    ///
    /// Example: `drop`
    pub on_max_delivery: OnMaxDelivery,
    /// How long a topic without any consumer group keeps its messages. With a group they stay until every group has
    /// handled them.
    ///
    /// Default: `24h`
    ///
    /// Example: `168h`
    pub retention: Duration,
    /// How often to remove messages whose time to live or `retention` is over; at least 100ms.
    ///
    /// Default: `1m`
    ///
    /// Example: `10s`
    pub cleanup_interval: Duration,
}

impl Default for SqlitePubSubSettings {
    fn default() -> Self {
        Self {
            connection: Shared::default(),
            consumer_id: None,
            table_prefix: "pubsub_".to_owned(),
            visibility_timeout: Duration::from_secs(60),
            redeliver_interval: Duration::from_millis(200),
            max_delivery_count: 0,
            dead_letter_topic: None,
            on_max_delivery: OnMaxDelivery::DeadLetter,
            retention: Duration::from_secs(24 * 60 * 60),
            cleanup_interval: Duration::from_secs(60),
        }
    }
}

impl SqlitePubSubSettings {
    pub(crate) fn validate(&self) -> Result<()> {
        self.connection.validate()?;
        identifier("tablePrefix", &self.table_prefix)?;
        interval("visibilityTimeout", self.visibility_timeout)?;
        interval("cleanupInterval", self.cleanup_interval)?;
        let has_topic = self.dead_letter_topic().is_some();
        match self.on_max_delivery {
            OnMaxDelivery::Drop if has_topic => Err(Error::invalid_settings(
                "onMaxDelivery is drop, so deadLetterTopic would never get a message: remove one of them",
            )),
            OnMaxDelivery::DeadLetter if self.max_delivery_count > 0 && !has_topic => {
                Err(Error::invalid_settings(format!(
                    "maxDeliveryCount is {}: set deadLetterTopic, or onMaxDelivery to drop",
                    self.max_delivery_count
                )))
            }
            _ => Ok(()),
        }
    }

    /// The topic for messages that came too often; the empty name is none.
    pub(crate) fn dead_letter_topic(&self) -> Option<&str> {
        self.dead_letter_topic
            .as_deref()
            .filter(|topic| !topic.is_empty())
    }
}

/// What becomes of a message that came too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum OnMaxDelivery {
    /// It moves to the dead-letter topic.
    #[default]
    DeadLetter,
    /// It is removed.
    Drop,
}

/// Table names go into SQL as they are, so they must be nothing but names.
fn identifier(key: &str, name: &str) -> Result<()> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Error::invalid_settings(format!(
            "invalid identifier: {key} is {name:?}, expected letters, digits and underscores"
        )));
    }
    Ok(())
}

/// What happens again and again must leave time for something else.
fn interval(key: &str, duration: Duration) -> Result<()> {
    const LEAST: Duration = Duration::from_millis(100);
    if duration < LEAST {
        return Err(Error::invalid_settings(format!(
            "{key} is {duration:?}: expected at least {LEAST:?}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
