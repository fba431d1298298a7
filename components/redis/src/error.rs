//! From the errors of Redis and of the way to it to those of the SDK: the one place that decides what each means.

use dapr_pluggable::{Error, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError};

/// What an error means, and what to do about it.
type Meaning = (ErrorKind, Option<&'static str>);

/// The SDK's error for one of Redis's; `server` names the server.
pub(crate) fn translate(error: RedisError, server: &str) -> Error {
    let (kind, hint) = meaning(&error);
    let mut text = format!("redis at {server}: {}", plain(&error));
    if let Some(hint) = hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    Error::new(kind, text).with_source(error)
}

/// Whether the connection is of no use any more.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == RedisKind::Parse
}

/// Whether the connection leads to a server that is not the primary (any more).
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        RedisKind::Io => return (ErrorKind::Unavailable, on_the_way(error)),
        RedisKind::ClusterConnectionNotFound | RedisKind::NoValidReplicasFoundBySentinel => {
            return (ErrorKind::Unavailable, None);
        }
        RedisKind::MasterNameNotFoundBySentinel => {
            return (
                ErrorKind::Unavailable,
                Some("check sentinelMasterName, and that redisHost names sentinels"),
            );
        }
        RedisKind::AuthenticationFailed => return denied(),
        RedisKind::InvalidClientConfig => return (ErrorKind::InvalidSettings, None),
        _ => {}
    }
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("LOADING") => unavailable("it answers once it has read its data"),
        Some("MASTERDOWN") => unavailable("it is a replica that has lost its primary"),
        Some("CLUSTERDOWN") => unavailable("a part of the cluster is missing"),
        Some("MISCONF") => {
            unavailable("it cannot save its data: see the server's log and its disk")
        }
        Some("MOVED" | "ASK") => {
            unavailable("another server of its cluster has the key: redisType must be cluster")
        }
        Some("TRYAGAIN" | "BUSY" | "NOREPLICAS") => (ErrorKind::Unavailable, None),
        Some("READONLY") => unavailable(
            "it is a replica: redisHost must name the primary, or the sentinels with failover",
        ),
        Some("NOAUTH" | "WRONGPASS") => denied(),
        Some("NOPERM") => (
            ErrorKind::Denied,
            Some("the rules (ACL) of redisUsername must allow it"),
        ),
        Some("OOM") => (
            ErrorKind::Throttled,
            Some("the server's maxmemory is used up"),
        ),
        Some("CROSSSLOT") => (
            ErrorKind::InvalidRequest,
            Some("keys that belong together need the same hash tag, a part in braces"),
        ),
        _ if detail.contains("DB index is out of range") || detail.contains("invalid DB index") => {
            (
                ErrorKind::InvalidSettings,
                Some("redisDB must be the number of a database that the server has"),
            )
        }
        _ if detail.contains("SELECT is not allowed in cluster mode") => (
            ErrorKind::InvalidSettings,
            Some("it is a cluster: redisType must be cluster, and has no redisDB"),
        ),
        _ if detail.contains("cluster support disabled") => (
            ErrorKind::InvalidSettings,
            Some("it is not in a cluster: check redisType and redisHost"),
        ),
        _ if is_unknown_command(detail, "SENTINEL") => (
            ErrorKind::InvalidSettings,
            Some("it is not a sentinel: with failover, redisHost names the sentinels"),
        ),
        _ if is_unknown_command(detail, "") => (
            ErrorKind::Internal,
            Some(
                "a sentinel has no such command, nor may an old server: check redisHost and failover",
            ),
        ),
        _ if detail.contains("max number of clients reached") => (ErrorKind::Throttled, None),
        _ => (ErrorKind::Internal, None),
    }
}

/// What is to do where there is no talking with a server.
fn on_the_way(error: &RedisError) -> Option<&'static str> {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    Some(if has("UnknownIssuer") {
        "its certificate is not of an authority that the system trusts: SSL_CERT_FILE can name others, \
         insecureSkipTLSVerify trusts anyone"
    } else if has("invalid peer certificate") {
        "it must show a valid certificate for the name in redisHost; insecureSkipTLSVerify takes any"
    } else if has("CertificateRequired") {
        "it asks for a certificate: set clientCert and clientKey"
    } else if has("UnknownCA") || has("DecryptError") || has("BadCertificate") {
        "it does not accept the certificate in clientCert"
    } else if has("InvalidContentType") || has("corrupt message") {
        "it does not speak TLS: check enableTLS and the port"
    } else if has("failed to lookup address") || has("No address found") {
        "the name in redisHost is not known to the name service"
    } else if has("Connection refused") {
        "nothing listens there: check redisHost, and that Redis runs"
    } else {
        return None;
    })
}

/// Whether the server does not have a command that begins so, in upper case.
fn is_unknown_command(detail: &str, name: &str) -> bool {
    // The name is between quotes, which have changed.
    let named = detail.strip_prefix("unknown command ");
    named.is_some_and(|named| named.trim_start_matches(['\'', '`']).starts_with(name))
}

fn unavailable(hint: &'static str) -> Meaning {
    (ErrorKind::Unavailable, Some(hint))
}

fn denied() -> Meaning {
    (
        ErrorKind::Denied,
        Some("check redisUsername and redisPassword"),
    )
}

/// What the server or the system said, without the names that the driver has for kinds of errors.
///
/// Nor with the arguments of a command that a server does not have, which it repeats: a value of the application may be among them.
fn plain(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => {
            let end = detail.find(", with args beginning with");
            let detail = end.and_then(|end| detail.get(..end)).unwrap_or(detail);
            format!("{code} {detail}")
        }
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}
