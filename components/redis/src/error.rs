//! From the errors of Redis and of the way to it to those of the SDK: the one place that decides what each means.

use dapr_pluggable::{Error, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError};

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

fn meaning(error: &RedisError) -> (ErrorKind, Option<&'static str>) {
    match error.kind() {
        RedisKind::Io
        | RedisKind::ClusterConnectionNotFound
        | RedisKind::NoValidReplicasFoundBySentinel => return (ErrorKind::Unavailable, None),
        RedisKind::MasterNameNotFoundBySentinel => {
            return (
                ErrorKind::Unavailable,
                Some(
                    "no sentinel answers that knows the primary of the name in sentinelMasterName",
                ),
            );
        }
        RedisKind::AuthenticationFailed => return denied(),
        RedisKind::InvalidClientConfig => return (ErrorKind::InvalidSettings, None),
        _ => {}
    }
    match error.code() {
        Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "MISCONF") => {
            (ErrorKind::Unavailable, None)
        }
        Some("READONLY") => (
            ErrorKind::Unavailable,
            Some(
                "it is a replica: redisHost must name the primary, or the sentinels with failover",
            ),
        ),
        Some("NOAUTH" | "WRONGPASS") => denied(),
        Some("NOPERM") => (ErrorKind::Denied, None),
        Some("OOM") => (ErrorKind::Throttled, None),
        Some("CROSSSLOT") => (
            ErrorKind::InvalidRequest,
            Some("keys that belong together need the same hash tag, a part in braces"),
        ),
        _ => (ErrorKind::Internal, None),
    }
}

fn denied() -> (ErrorKind, Option<&'static str>) {
    (
        ErrorKind::Denied,
        Some("check redisUsername and redisPassword"),
    )
}

/// What the server or the system said, without the names that the driver has for kinds of errors.
fn plain(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
