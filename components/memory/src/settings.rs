//! The metadata of the broker and of the bindings. The state store has none, and every key of a secret store is a secret.

use std::time::Duration;

use dapr_pluggable::settings::Shared;
use dapr_pluggable::{Error, Result};
use serde::Deserialize;

/// When what was delivered comes again: what the broker and the bindings have in common.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RedeliverySettings {
    /// How long what the application rejected waits before it comes again. Each further rejection doubles it, up to a
    /// minute.
    ///
    /// Default: `200ms`
    ///
    /// Example: `1s`
    pub redeliver_interval: Duration,
    /// After what time what the application does not answer comes again. It counts from the later of its sending and the
    /// last answer on its stream. A stream that ends gives back at once what is unanswered. At least 100ms.
    ///
    /// Default: `60s`
    ///
    /// Example: `5m`
    pub visibility_timeout: Duration,
}

impl Default for RedeliverySettings {
    fn default() -> Self {
        Self {
            redeliver_interval: Duration::from_millis(200),
            visibility_timeout: Duration::from_secs(60),
        }
    }
}

impl RedeliverySettings {
    pub(crate) fn validate(&self) -> Result<()> {
        // What comes again at once leaves an application no time to answer.
        const LEAST: Duration = Duration::from_millis(100);
        if self.visibility_timeout < LEAST {
            return Err(Error::invalid_settings(format!(
                "visibilityTimeout is {:?}: expected at least {LEAST:?}",
                self.visibility_timeout
            )));
        }
        Ok(())
    }
}

/// The metadata of the broker.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct MemoryPubSubSettings {
    /// The consumer group of this runtime's subscriptions: a message goes to one subscriber of each group. The runtime sets
    /// it to the application's id; without it, it is the name of the component.
    ///
    /// Example: `billing`
    #[serde(rename = "consumerID")]
    pub consumer_id: Option<String>,
    /// When a message comes again.
    pub redelivery: Shared<RedeliverySettings>,
}
