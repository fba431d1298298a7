//! Where a server is and how to log in to it: what every new connection needs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::{Error, Result};
use redis::aio::{AsyncPushSender, ConnectionLike as _, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError,
    RedisResult, Value,
};

use super::access::Access;
use super::hosts::{Host, hosts};
use super::node::within;
use crate::settings::ConnectionSettings;

/// How many commands wait for the connection's task before their callers do.
const QUEUE: usize = 1024;
/// The longest that one of several sentinels is waited for.
const SENTINEL: Duration = Duration::from_secs(1);

/// A server: where it is and how to log in.
#[derive(Debug)]
pub(crate) struct Endpoint {
    place: Place,
    access: Access,
}

#[derive(Debug)]
enum Place {
    Fixed {
        host: Host,
        client: Box<Client>,
    },
    /// It is the primary of a name, which sentinels know.
    Watched {
        sentinels: Vec<(Host, Client)>,
        name: String,
    },
}

impl Endpoint {
    /// The one server of the settings, or the primary that its sentinels know.
    pub(crate) fn new(settings: &ConnectionSettings, access: Access) -> Result<Self> {
        let hosts = hosts(settings)?;
        if settings.failover {
            let asking = access.of_sentinels(settings);
            let sentinels = hosts.into_iter().map(|host| {
                let client = asking.client(&host).map_err(invalid)?;
                Ok((host, client))
            });
            let place = Place::Watched {
                sentinels: sentinels.collect::<Result<_>>()?,
                name: settings.sentinel_master_name.clone(),
            };
            return Ok(Self { place, access });
        }
        let [host] = hosts.as_slice() else {
            return Err(Error::invalid_settings(format!(
                "redisHost has {} hosts: expected one, unless redisType is cluster or failover is true",
                hosts.len()
            )));
        };
        Self::at(host.clone(), access).map_err(invalid)
    }

    /// The server at an address.
    pub(crate) fn at(host: Host, access: Access) -> RedisResult<Self> {
        let client = access.client(&host)?;
        Ok(Self {
            place: Place::Fixed {
                host,
                client: Box::new(client),
            },
            access,
        })
    }

    /// Its address, where that does not change.
    pub(super) fn host(&self) -> Option<&Host> {
        match &self.place {
            Place::Fixed { host, .. } => Some(host),
            Place::Watched { .. } => None,
        }
    }

    /// Opens a connection, within the time for that. `on_push` hears what the server says unasked, and that the connection
    /// is gone.
    pub(crate) async fn connect(
        &self,
        on_push: Arc<dyn AsyncPushSender>,
    ) -> RedisResult<MultiplexedConnection> {
        let connect = async {
            match &self.place {
                Place::Fixed { client, .. } => connect(client, Some(on_push)).await,
                Place::Watched { sentinels, name } => {
                    self.connect_to_primary(sentinels, name, on_push).await
                }
            }
        };
        within(self.access.dial(), connect).await
    }

    /// Asks one sentinel after the other, until one names a server that says that it is the primary.
    async fn connect_to_primary(
        &self,
        sentinels: &[(Host, Client)],
        name: &str,
        on_push: Arc<dyn AsyncPushSender>,
    ) -> RedisResult<MultiplexedConnection> {
        let limit = self.access.dial().min(SENTINEL);
        let mut failure = unknown(name);
        for (sentinel, client) in sentinels {
            let primary = match within(limit, primary(client, name)).await {
                Ok(primary) => primary,
                Err(error) => {
                    tracing::debug!(%sentinel, %error, "a sentinel does not say where the primary is");
                    failure = error;
                    continue;
                }
            };
            match self
                .connect_as_primary(&primary, Arc::clone(&on_push))
                .await
            {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    tracing::debug!(%sentinel, %primary, %error, "what a sentinel names is not reached as the primary");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    async fn connect_as_primary(
        &self,
        host: &Host,
        on_push: Arc<dyn AsyncPushSender>,
    ) -> RedisResult<MultiplexedConnection> {
        let client = self.access.client(host)?;
        let mut connection = connect(&client, Some(on_push)).await?;
        let role = connection
            .req_packed_command(&redis::cmd("ROLE"))
            .await?
            .extract_error()?;
        let role = match role {
            Value::Array(parts) => parts.into_iter().next().and_then(text),
            _ => None,
        };
        match role.as_deref() {
            Some("master") => Ok(connection),
            _ => Err(RedisError::from((
                ErrorKind::Io,
                "the sentinels name a server that is not the primary (yet)",
                host.to_string(),
            ))),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Fixed { host, .. } => host.fmt(f),
            Place::Watched { sentinels, name } => {
                write!(f, "the primary {name:?} of ")?;
                for (index, (host, _)) in sentinels.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{host}")?;
                }
                Ok(())
            }
        }
    }
}

/// Where a sentinel says that the primary is.
async fn primary(client: &Client, name: &str) -> RedisResult<Host> {
    let mut connection = connect(client, None).await?;
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let address: Option<(String, u16)> = ask.query_async(&mut connection).await?;
    let (name, port) = address.ok_or_else(|| unknown(name))?;
    Ok(Host { name, port })
}

/// Connects, however long it takes.
async fn connect(
    client: &Client,
    on_push: Option<Arc<dyn AsyncPushSender>>,
) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let Some(on_push) = on_push else {
        return client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
    };
    let with_push = config.clone().set_push_sender(on_push);
    let connected = client
        .get_multiplexed_async_connection_with_config(&with_push)
        .await;
    match connected {
        // Before Redis 6 nothing tells of the end of a connection but the next answer.
        Err(error) if is_without_hello(&error) => {
            Client::open(in_old_protocol(client.get_connection_info()))?
                .get_multiplexed_async_connection_with_config(&config)
                .await
        }
        connected => connected,
    }
}

fn in_old_protocol(info: &ConnectionInfo) -> ConnectionInfo {
    let log_in = info.redis_settings().clone();
    info.clone()
        .set_redis_settings(log_in.set_protocol(ProtocolVersion::RESP2))
}

fn is_without_hello(error: &RedisError) -> bool {
    error.kind() == ErrorKind::RESP3NotSupported
        || error
            .detail()
            .is_some_and(|detail| detail.starts_with("unknown command") && detail.contains("HELLO"))
}

fn unknown(name: &str) -> RedisError {
    RedisError::from((
        ErrorKind::MasterNameNotFoundBySentinel,
        "the sentinels know no primary of this name",
        format!("{name:?}"),
    ))
}

fn invalid(error: RedisError) -> Error {
    Error::invalid_settings(error.to_string()).with_source(error)
}

/// What an answer says, where it is text.
pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
