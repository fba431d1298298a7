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
    matches!(code(error), Some("READONLY" | "MASTERDOWN"))
}

/// The error for an answer in no form that is known.
pub(crate) fn misread(command: &'static str) -> RedisError {
    RedisError::from((
        RedisKind::UnexpectedReturnType,
        "an answer in no known form",
        command.to_owned(),
    ))
}

/// The code of an error. A server before version 7 puts that of a write that it refuses to a script into the text:
/// `ERR Error running script (call to f_…): @user_script:9: @user_script: 9: -READONLY You can't write …`.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let is_code = |word: &&str| {
        word.len() > 1
            && word
                .bytes()
                .all(|letter| letter.is_ascii_uppercase() || letter == b'_')
    };
    let detail = error.detail().filter(|detail| {
        code.starts_with("@user_script") || (code == "ERR" && detail.contains("@user_script"))
    });
    let inner = detail.and_then(|detail| {
        let parts = detail.split(" -").skip(1);
        let mut words = parts.filter_map(|part| part.split(' ').next());
        words.find(is_code)
    });
    inner.or(Some(code))
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
    match code(error) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> RedisError {
        let answer = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        answer.extract_error().unwrap_err()
    }

    #[test]
    fn what_a_server_answers_has_its_kind_and_what_to_do() {
        use ErrorKind::{Denied, InvalidRequest, InvalidSettings, Throttled, Unavailable};

        for (text, kind, hint) in [
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
                "has read its data",
            ),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Unavailable,
                "lost its primary",
            ),
            (
                "CLUSTERDOWN The cluster is down",
                Unavailable,
                "a part of the cluster",
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Unavailable,
                "disk",
            ),
            ("BUSY Redis is busy running a script.", Unavailable, "BUSY"),
            (
                "NOREPLICAS Not enough good replicas to write.",
                Unavailable,
                "NOREPLICAS",
            ),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
                "redisHost",
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Throttled,
                "maxmemory",
            ),
            ("ERR max number of clients reached", Throttled, "clients"),
            ("NOAUTH Authentication required.", Denied, "redisPassword"),
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                Denied,
                "redisUsername",
            ),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                InvalidRequest,
                "hash tag",
            ),
            ("ERR DB index is out of range", InvalidSettings, "redisDB"),
            ("ERR syntax error", ErrorKind::Internal, "syntax error"),
        ] {
            let error = translate(answered(text), "there:1");
            assert_eq!(*error.kind(), kind, "{text}");
            let message = error.message();
            assert!(
                message.starts_with(&format!("redis at there:1: {text}")),
                "{message}"
            );
            assert!(message.contains(hint), "{message}");
        }
    }

    #[test]
    fn what_old_servers_refuse_to_scripts_is_found_in_the_text() {
        let running =
            "ERR Error running script (call to f_00ff): @user_script:29: @user_script: 29:";
        for (text, expected) in [
            (
                format!("{running} -READONLY You can't write against a read only replica."),
                "READONLY",
            ),
            (
                "@user_script: 23: -OOM command not allowed when used memory > 'maxmemory'."
                    .to_owned(),
                "OOM",
            ),
            (
                format!("{running} -MISCONF Redis is configured to save - well"),
                "MISCONF",
            ),
            (
                format!("{running} Wrong number of args - READONLY -x"),
                "ERR",
            ),
            ("ERR no -OOM here".to_owned(), "ERR"),
        ] {
            assert_eq!(code(&answered(&text)), Some(expected), "{text}");
        }
        let error = answered(&format!(
            "{running} -READONLY You can't write against a read only replica."
        ));
        assert!(is_elsewhere(&error));
        assert_eq!(*translate(error, "there:1").kind(), ErrorKind::Unavailable);
    }
}
