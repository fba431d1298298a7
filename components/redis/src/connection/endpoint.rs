//! Where a server is and how to log in to it: what every new connection needs.

use std::fmt;
use std::time::Duration;

use dapr_pluggable::{Error, Result};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};

use super::hosts::{Host, hosts};
use crate::settings::ConnectionSettings;

/// How many commands wait for the connection's task before their callers do.
const QUEUE: usize = 1024;

/// A server: where it is and how to log in.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    host: Host,
    dial: Duration,
}

impl Endpoint {
    /// The server of the settings.
    pub(crate) fn new(settings: &ConnectionSettings, dial: Duration) -> Result<Self> {
        if settings.is_cluster() || settings.failover {
            return Err(Error::unsupported("a cluster or sentinels"));
        }
        let hosts = hosts(settings)?;
        let [host] = hosts.as_slice() else {
            return Err(Error::invalid_settings(format!(
                "redisHost has {} hosts: expected one, unless redisType is cluster or failover is true",
                hosts.len()
            )));
        };
        let client = client(settings, host)
            .map_err(|error| Error::invalid_settings(error.to_string()).with_source(error))?;
        Ok(Self {
            client,
            host: host.clone(),
            dial,
        })
    }

    /// Opens a connection. `on_push` hears what the server says unasked, and that the connection is gone.
    pub(crate) async fn connect<F>(&self, on_push: F) -> RedisResult<MultiplexedConnection>
    where
        F: AsyncPushSender,
    {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.dial))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(on_push);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

fn client(settings: &ConnectionSettings, host: &Host) -> RedisResult<Client> {
    let info = address(settings, host)
        .into_connection_info()?
        .set_redis_settings(log_in(settings));
    with_certificates(settings, info)
}

fn address(settings: &ConnectionSettings, host: &Host) -> ConnectionAddr {
    if settings.enable_tls {
        ConnectionAddr::TcpTls {
            host: host.name.clone(),
            port: host.port,
            insecure: settings.insecure_skip_tls_verify,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.name.clone(), host.port)
    }
}

fn log_in(settings: &ConnectionSettings) -> RedisConnectionInfo {
    let mut log_in = RedisConnectionInfo::default()
        // The version that says when a connection is gone, and what servers have spoken since version 6.
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("dapr-pluggable", env!("CARGO_PKG_VERSION"))
        .set_db(settings.redis_db);
    if !settings.redis_username.is_empty() {
        log_in = log_in.set_username(&settings.redis_username);
    }
    if !settings.redis_password.expose().is_empty() {
        log_in = log_in.set_password(settings.redis_password.expose());
    }
    log_in
}

fn with_certificates(
    settings: &ConnectionSettings,
    info: ConnectionInfo,
) -> Result<Client, RedisError> {
    if !settings.enable_tls || settings.client_cert.expose().is_empty() {
        return Client::open(info);
    }
    let client_tls = ClientTlsConfig {
        client_cert: settings.client_cert.expose().as_bytes().to_vec(),
        client_key: settings.client_key.expose().as_bytes().to_vec(),
    };
    let certificates = TlsCertificates {
        client_tls: Some(client_tls),
        root_cert: None,
    };
    Client::build_with_tls(info, certificates)
}
