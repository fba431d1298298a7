//! The metadata of the state store and of the broker.

use std::time::Duration;

use dapr_pluggable::settings::{GoDuration, Redacted, Shared, parse_go_duration};
use dapr_pluggable::{Error, Result};
use serde::Deserialize;

/// The server and how to use it: what the state store and the broker have in common.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// The server, as `host:port`; several between commas for a cluster, or for the sentinels with `failover`.
    ///
    /// Default: `localhost:6379`
    ///
    /// Example: `redis-master:6379`
    pub redis_host: String,
    /// The port of every host in `redisHost` that has none.
    ///
    /// Default: `6379`
    ///
    /// Example: `6380`
    pub redis_port: u16,
    /// The user to log in as, where the server has users (ACL).
    ///
    /// Default: none
    ///
    /// Example: `dapr`
    pub redis_username: String,
    /// The password to log in with.
    ///
    /// Default: none
    ///
    /// Example: `secret`
    pub redis_password: Redacted<String>,
    /// The user to log in to the sentinels as.
    ///
    /// Default: none
    ///
    /// Example: `dapr`
    pub sentinel_username: String,
    /// The password to log in to the sentinels with.
    ///
    /// Default: none
    ///
    /// Example: `secret`
    pub sentinel_password: Redacted<String>,
    /// The database. A cluster has only the first.
    ///
    /// Default: `0`
    ///
    /// Example: `1`
    #[serde(rename = "redisDB")]
    pub redis_db: i64,
    /// `cluster` for a Redis cluster; anything else is a single server. With `failover` it has no effect: every command goes
    /// to the primary, while Dapr's own component then spreads reads over its replicas.
    ///
    /// Default: `node`
    ///
    /// Example: `cluster`
    pub redis_type: String,
    /// Asks the sentinels in `redisHost` for the primary, and follows it when it changes.
    ///
    /// Default: `false`
    ///
    /// Example: `true`
    pub failover: bool,
    /// The name by which the sentinels know the primary. Required with `failover`.
    ///
    /// Default: none
    ///
    /// Example: `mymaster`
    pub sentinel_master_name: String,
    /// Talks TLS to the server. It must show a certificate that the system trusts (`SSL_CERT_FILE` names other
    /// authorities).
    ///
    /// Default: `false`
    ///
    /// Example: `true`
    #[serde(rename = "enableTLS")]
    pub enable_tls: bool,
    /// Accepts any certificate of the server. Whoever is between may then read along.
    ///
    /// Default: `false`
    ///
    /// Example: `true`
    #[serde(rename = "insecureSkipTLSVerify")]
    pub insecure_skip_tls_verify: bool,
    /// The certificate to show to the server, as PEM. Together with `clientKey`, and only with `enableTLS`.
    ///
    /// Default: none
    ///
    /// Example: `-----BEGIN CERTIFICATE-----\n…`
    pub client_cert: Redacted<String>,
    /// The private key of `clientCert`, as PEM.
    ///
    /// Default: none
    ///
    /// Example: `-----BEGIN PRIVATE KEY-----\n…`
    pub client_key: Redacted<String>,
    /// How often to try a read again whose connection broke, with the pauses below, within `readTimeout` and 3 seconds. Zero
    /// and -1 are never. A write is not tried again: it may have happened.
    ///
    /// Default: `3`
    ///
    /// Example: `0`
    pub redis_max_retries: Option<i64>,
    /// The pause before the second attempt to connect again, or to read again; it doubles up to `redisMaxRetryInterval`. -1 is
    /// the shortest, a millisecond.
    ///
    /// Default: `8ms`
    ///
    /// Example: `100ms`
    pub redis_min_retry_interval: Option<GoDuration>,
    /// The longest pause between attempts. -1 is a millisecond.
    ///
    /// Default: `512ms`
    ///
    /// Example: `2s`
    pub redis_max_retry_interval: Option<GoDuration>,
    /// How long to connect may take, the log-in included. Zero is the default, -1 a minute.
    ///
    /// Default: `5s`
    ///
    /// Example: `2s`
    pub dial_timeout: Option<GoDuration>,
    /// How long a command that reads may take. Zero is the default, -1 a minute.
    ///
    /// Default: `3s`
    ///
    /// Example: `1s`
    pub read_timeout: Option<GoDuration>,
    /// How long a command that writes may take. Zero is the default, -1 a minute.
    ///
    /// Default: as `readTimeout`
    ///
    /// Example: `1s`
    pub write_timeout: Option<GoDuration>,
    /// Accepted and without effect: the commands of one component share a connection.
    ///
    /// Default: none
    ///
    /// Example: `20`
    pub pool_size: i64,
    /// Accepted and without effect, as `poolSize`.
    ///
    /// Default: none
    ///
    /// Example: `5`
    pub min_idle_conns: i64,
    /// Accepted and without effect, as `poolSize`.
    ///
    /// Default: none
    ///
    /// Example: `4s`
    pub pool_timeout: Option<GoDuration>,
    /// Accepted and without effect, as `poolSize`.
    ///
    /// Default: none
    ///
    /// Example: `1h`
    pub max_conn_age: Option<GoDuration>,
    /// Accepted and without effect, as `poolSize`.
    ///
    /// Default: none
    ///
    /// Example: `5m`
    pub idle_timeout: Option<GoDuration>,
    /// Accepted and without effect, as `poolSize`.
    ///
    /// Default: none
    ///
    /// Example: `1m`
    pub idle_check_frequency: Option<GoDuration>,
    /// Microsoft Entra ID is not supported: `true` is an error.
    ///
    /// Default: `false`
    ///
    /// Example: `false`
    #[serde(rename = "useEntraID")]
    pub use_entra_id: bool,
    /// OpenID Connect is not supported: `true` is an error.
    ///
    /// Default: `false`
    ///
    /// Example: `false`
    #[serde(rename = "useOIDC")]
    pub use_oidc: bool,
}

impl ConnectionSettings {
    /// Whether the server is a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        self.redis_type.eq_ignore_ascii_case("cluster")
    }

    pub(crate) fn validate(&self) -> Result<()> {
        for (key, is_set) in [
            ("useEntraID", self.use_entra_id),
            ("useOIDC", self.use_oidc),
        ] {
            if is_set {
                return Err(Error::invalid_settings(format!(
                    "{key} is true: logging in by tokens is not supported, use redisUsername and redisPassword"
                )));
            }
        }
        if self.redis_db < 0 {
            return Err(Error::invalid_settings(format!(
                "invalid value \"{}\" for key \"redisDB\": expected the number of a database, from 0",
                self.redis_db
            )));
        }
        if self.failover && self.sentinel_master_name.is_empty() {
            return Err(Error::invalid_settings(
                "missing key \"sentinelMasterName\": with failover the sentinels are asked for the primary by its name",
            ));
        }
        let has_cert = !self.client_cert.expose().is_empty();
        if has_cert == self.client_key.expose().is_empty() {
            let (given, missing) = if has_cert {
                ("clientCert", "clientKey")
            } else {
                ("clientKey", "clientCert")
            };
            return Err(Error::invalid_settings(format!(
                "missing key {missing:?}: {given} is of no use without it"
            )));
        }
        Ok(())
    }
}

/// The metadata of the state store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RedisStateSettings {
    /// The server.
    pub connection: Shared<ConnectionSettings>,
    /// The time to live, in seconds, of values whose request has none. Zero or less is without limit.
    ///
    /// Default: none
    ///
    /// Example: `600`
    pub ttl_in_seconds: Option<i64>,
    /// The indexes for queries, as a JSON array. Needs a server with RedisJSON and RediSearch.
    ///
    /// Default: none
    ///
    /// Example: `[{"name": "people", "indexes": [{"key": "person.org", "type": "TEXT"}]}]`
    pub query_indexes: String,
    /// The old name of `redisMaxRetries`, which goes before it.
    ///
    /// Default: none
    ///
    /// Example: `5`
    pub max_retries: Option<i64>,
    /// The old name of `redisMinRetryInterval`, which goes before it. A number without a unit is nanoseconds.
    ///
    /// Default: none
    ///
    /// Example: `2s`
    pub max_retry_backoff: Option<String>,
}

impl RedisStateSettings {
    /// The server, with what stands under old names.
    pub(crate) fn connection(&self) -> Result<ConnectionSettings> {
        let mut connection = ConnectionSettings::clone(&self.connection);
        connection.redis_max_retries = connection.redis_max_retries.or(self.max_retries);
        if connection.redis_min_retry_interval.is_none()
            && let Some(text) = &self.max_retry_backoff
        {
            let backoff = match text.parse() {
                Ok(nanos) => Ok(GoDuration::from_nanos(nanos)),
                Err(_) => parse_go_duration(text),
            };
            let backoff = backoff.map_err(|_| {
                Error::invalid_settings(format!(
                    "invalid value {text:?} for key \"maxRetryBackoff\": expected a duration such as 2s, or nanoseconds"
                ))
            })?;
            connection.redis_min_retry_interval = Some(backoff);
        }
        Ok(connection)
    }
}

/// The metadata of the broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RedisPubSubSettings {
    /// The server.
    pub connection: Shared<ConnectionSettings>,
    /// The consumer group of this runtime's subscriptions: a message goes to one subscriber of each group. The runtime sets
    /// it to the application's id; without it, it is the name of the component.
    ///
    /// Example: `billing`
    #[serde(rename = "consumerID")]
    pub consumer_id: Option<String>,
    /// After what time a message comes again whose subscriber stands still or is gone without a trace. It counts from the
    /// later of the message's sending and the last answer on its stream. A stream that ends gives its messages back at once.
    /// Zero is never: such a message then stays unacknowledged in Redis.
    ///
    /// Default: `60s`
    ///
    /// Example: `5m`
    pub processing_timeout: Duration,
    /// How often to look for messages that nobody works on any more. Zero is never.
    ///
    /// Default: `15s`
    ///
    /// Example: `1s`
    pub redeliver_interval: Duration,
    /// How many messages one read takes at most; there is never more in memory than the window of a stream has room for.
    /// Zero is as many as that.
    ///
    /// Default: `100`
    ///
    /// Example: `16`
    pub queue_depth: u32,
    /// How many messages may be delivered and unanswered at once, over all subscriptions of the component. With 1 they are
    /// handled in their order.
    ///
    /// Default: the window of each stream
    ///
    /// Example: `1`
    pub concurrency: Option<u32>,
    /// To about how many entries publishing shortens a stream, whether they were handled or not. Zero or less is no limit.
    ///
    /// Default: `0`
    ///
    /// Example: `100000`
    pub max_len_approx: i64,
    /// How long about entries stay on a stream, whether they were handled or not: publishing removes older ones (Redis 6.2
    /// or later). Zero is for ever. `maxLenApprox` goes before it.
    ///
    /// Default: `0`
    ///
    /// Example: `720h`
    #[serde(rename = "streamTTL")]
    pub stream_ttl: Duration,
    /// What becomes of a message that the application rejected: `ack` is done with it, with a warning; `redeliver` lets it
    /// come again after `processingTimeout`. Dapr's own component has no such key, and does as `ack`.
    ///
    /// Default: `ack`
    ///
    /// Example: `redeliver`
    pub nack_policy: NackPolicy,
    /// How often a message is delivered that the application rejects, with `nackPolicy` `redeliver`; then it is done with,
    /// with a warning. Zero is without limit.
    ///
    /// Default: `0`
    ///
    /// Example: `5`
    pub max_delivery_count: u32,
}

impl Default for RedisPubSubSettings {
    fn default() -> Self {
        Self {
            connection: Shared::default(),
            consumer_id: None,
            processing_timeout: Duration::from_secs(60),
            redeliver_interval: Duration::from_secs(15),
            queue_depth: 100,
            concurrency: None,
            max_len_approx: 0,
            stream_ttl: Duration::ZERO,
            nack_policy: NackPolicy::default(),
            max_delivery_count: 0,
        }
    }
}

impl RedisPubSubSettings {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.concurrency == Some(0) {
            return Err(Error::invalid_settings(
                "concurrency is 0: expected at least 1, or no such key for the window of each stream",
            ));
        }
        if self.nack_policy == NackPolicy::Ack && self.max_delivery_count > 0 {
            return Err(Error::invalid_settings(format!(
                "maxDeliveryCount is {}: it needs nackPolicy redeliver, since with ack a rejected message does not come again",
                self.max_delivery_count
            )));
        }
        let never = [
            ("processingTimeout", self.processing_timeout),
            ("redeliverInterval", self.redeliver_interval),
        ];
        let never = never.into_iter().find(|(_, time)| time.is_zero());
        if let (NackPolicy::Redeliver, Some((key, _))) = (self.nack_policy, never) {
            return Err(Error::invalid_settings(format!(
                "nackPolicy is redeliver and {key} is 0: a rejected message would never come again"
            )));
        }
        Ok(())
    }
}

/// What becomes of a message that the application rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum NackPolicy {
    /// It is acknowledged.
    #[default]
    Ack,
    /// It comes again.
    Redeliver,
}
