//! The hosts that `redisHost` and `redisPort` name.

use std::fmt;

use dapr_pluggable::{Error, Result};

use crate::settings::ConnectionSettings;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 6379;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host {
    /// A name or an address, without brackets.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// Reads the list of hosts, of which there is at least one.
pub(crate) fn hosts(settings: &ConnectionSettings) -> Result<Vec<Host>> {
    let port = Some(settings.redis_port).filter(|port| *port != 0);
    if settings.redis_host.trim().is_empty() {
        return Ok(vec![Host {
            name: DEFAULT_HOST.to_owned(),
            port: port.unwrap_or(DEFAULT_PORT),
        }]);
    }
    if settings.redis_host.contains(['@', '=']) {
        return Err(with_log_in());
    }
    let hosts = settings.redis_host.split(',');
    hosts.map(|host| parse(host.trim(), port)).collect()
}

fn parse(text: &str, default: Option<u16>) -> Result<Host> {
    let (name, port) = split(text).ok_or_else(|| invalid(text))?;
    let Some(port) = port else {
        return Ok(Host {
            name: name.to_owned(),
            port: default.unwrap_or(DEFAULT_PORT),
        });
    };
    let port = port.parse::<u16>().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| invalid(text))?;
    match default {
        Some(other) if other != port => Err(Error::invalid_settings(format!(
            "redisPort is {other}, but redisHost has {text:?}: leave one of the two ports out"
        ))),
        _ => Ok(Host {
            name: name.to_owned(),
            port,
        }),
    }
}

/// The name and the port, if there is one.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        match rest {
            "" => (name, None),
            _ => (name, Some(rest.strip_prefix(':')?)),
        }
    } else {
        match text.split_once(':') {
            // More than one colon is an address of IPv6 without a port.
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    (!name.is_empty() && !name.contains('/')).then_some((name, port))
}

fn invalid(text: &str) -> Error {
    Error::invalid_settings(format!(
        "invalid value {text:?} for key \"redisHost\": expected host:port, or several of them between commas"
    ))
}

/// It is not shown: such a text may have the password in it.
fn with_log_in() -> Error {
    Error::invalid_settings(
        "invalid value for key \"redisHost\": expected host:port alone, with the log-in in redisUsername and redisPassword",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, port: u16) -> Result<Vec<String>> {
        let settings = ConnectionSettings {
            redis_host: host.to_owned(),
            redis_port: port,
            ..ConnectionSettings::default()
        };
        Ok(hosts(&settings)?.iter().map(Host::to_string).collect())
    }

    #[test]
    fn ports_come_from_the_host_else_from_the_port_else_they_are_the_usual() {
        for (host, port, expected) in [
            ("", 0, vec!["localhost:6379"]),
            (" ", 7000, vec!["localhost:7000"]),
            ("redis", 0, vec!["redis:6379"]),
            ("redis:1", 0, vec!["redis:1"]),
            ("redis:1", 1, vec!["redis:1"]),
            ("a:1, b ,c", 2, vec![]),
            ("a, b ,c:2", 2, vec!["a:2", "b:2", "c:2"]),
            ("[::1]:7", 0, vec!["[::1]:7"]),
            ("[::1]", 8, vec!["[::1]:8"]),
            ("::1", 8, vec!["[::1]:8"]),
        ] {
            match read(host, port) {
                Ok(hosts) => assert_eq!(hosts, expected),
                Err(error) => assert!(
                    expected.is_empty() && error.message().contains("redisPort"),
                    "{error}"
                ),
            }
        }
    }

    #[test]
    fn what_is_no_host_is_named() {
        for host in [
            "a,,b",
            ":1",
            "a:",
            "a:b",
            "a:70000",
            "a:0",
            "[::1",
            "[::1]1",
            "redis://a",
        ] {
            let error = read(host, 0).unwrap_err();
            assert!(error.message().contains("redisHost"), "{host}: {error}");
        }
    }

    #[test]
    fn a_password_beside_a_host_is_not_shown() {
        for host in [
            "redis://:sesame@a:1",
            "sesame@a:1",
            "dapr:sesame@a",
            "redis://:x,sesame@a:1",
            "a:1,password=sesame,ssl=True",
        ] {
            let error = read(host, 0).unwrap_err();
            let message = error.message();
            assert!(message.contains("redisHost"), "{message}");
            assert!(message.contains("redisPassword"), "{message}");
            assert!(!message.contains("sesame"), "{message}");
        }
    }
}
