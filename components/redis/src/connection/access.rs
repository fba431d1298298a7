//! How to talk and log in to servers: everything about them but where they are.

use std::time::Duration;

use dapr_pluggable::settings::Redacted;
use dapr_pluggable::{Error, Result};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::hosts::Host;
use crate::settings::ConnectionSettings;

/// How to talk and log in to servers.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    log_in: RedisConnectionInfo,
    tls: Option<Tls>,
    dial: Duration,
}

#[derive(Clone, Debug)]
struct Tls {
    accepts_anyone: bool,
    /// What we show to the server.
    certificate: Option<ClientTlsConfig>,
}

impl Access {
    /// As the settings say; `dial` is how long to connect may take.
    pub(crate) fn new(settings: &ConnectionSettings, dial: Duration) -> Result<Self> {
        let mut log_in = log_in(&settings.redis_username, &settings.redis_password)
            // The version that says when a connection is gone, and what servers have spoken since version 6.
            .set_protocol(ProtocolVersion::RESP3);
        // A cluster has only the first database.
        if settings.failover || !settings.is_cluster() {
            log_in = log_in.set_db(settings.redis_db);
        }
        Ok(Self {
            log_in,
            tls: if settings.enable_tls {
                Some(Tls::new(settings)?)
            } else {
                None
            },
            dial,
        })
    }

    /// How to talk to the sentinels of servers: they have users of their own.
    pub(crate) fn of_sentinels(&self, settings: &ConnectionSettings) -> Self {
        Self {
            log_in: log_in(&settings.sentinel_username, &settings.sentinel_password),
            ..self.clone()
        }
    }

    /// How long to connect may take.
    pub(crate) fn dial(&self) -> Duration {
        self.dial
    }

    /// A client of the server at an address.
    pub(crate) fn client(&self, host: &Host) -> RedisResult<Client> {
        let (name, port) = (host.name.clone(), host.port);
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(name, port),
            Some(tls) => ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: tls.accepts_anyone,
                tls_params: None,
            },
        };
        let info = address.into_connection_info()?;
        let info = info.set_redis_settings(self.log_in.clone());
        match self.tls.as_ref().and_then(|tls| tls.certificate.clone()) {
            None => Client::open(info),
            Some(certificate) => {
                let certificates = TlsCertificates {
                    client_tls: Some(certificate),
                    root_cert: None,
                };
                Client::build_with_tls(info, certificates)
            }
        }
    }
}

impl Tls {
    fn new(settings: &ConnectionSettings) -> Result<Self> {
        let (cert, key) = (settings.client_cert.expose(), settings.client_key.expose());
        let certificate = if cert.is_empty() {
            None
        } else {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
            if !chain.is_ok_and(|chain| !chain.is_empty()) {
                return Err(not_pem("clientCert", "a certificate"));
            }
            if PrivateKeyDer::from_pem_slice(key.as_bytes()).is_err() {
                return Err(not_pem("clientKey", "a private key"));
            }
            Some(ClientTlsConfig {
                client_cert: cert.as_bytes().to_vec(),
                client_key: key.as_bytes().to_vec(),
            })
        };
        Ok(Self {
            accepts_anyone: settings.insecure_skip_tls_verify,
            certificate,
        })
    }
}

fn log_in(user: &str, password: &Redacted<String>) -> RedisConnectionInfo {
    let mut log_in =
        RedisConnectionInfo::default().set_lib_name("dapr-pluggable", env!("CARGO_PKG_VERSION"));
    if !user.is_empty() {
        log_in = log_in.set_username(user);
    }
    if !password.expose().is_empty() {
        log_in = log_in.set_password(password.expose());
    }
    log_in
}

fn not_pem(key: &str, what: &str) -> Error {
    Error::invalid_settings(format!(
        "invalid value for key {key:?}: expected {what} as PEM, with its BEGIN and END lines"
    ))
}
