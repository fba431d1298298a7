//! How to serve, as a command line says it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::error::Error;
use crate::server::{OnLostInit, Server};
use crate::settings::{ByteSize, parse_go_duration};

/// How to serve. What is not given stays as the program has it.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Folder for the socket [default: $DAPR_COMPONENTS_SOCKETS_FOLDER or /tmp/dapr-components-sockets]
    #[arg(long, value_name = "DIR")]
    sockets_folder: Option<PathBuf>,
    /// Permissions of the socket, in octal [default: 0660, in a container 0666]
    #[arg(
        long,
        value_name = "MODE",
        env = "PLUGGABLE_SOCKET_MODE",
        hide_env_values = true,
        value_parser = mode
    )]
    socket_mode: Option<u32>,
    /// Group of the socket, by name or number [default: the group of the process]
    #[arg(
        long,
        value_name = "GROUP",
        env = "PLUGGABLE_SOCKET_GROUP",
        hide_env_values = true
    )]
    socket_group: Option<String>,
    /// Refuse connections of other users than this (and our own); may be repeated
    #[arg(
        long,
        value_name = "UID",
        env = "PLUGGABLE_ALLOW_UID",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = uid
    )]
    allow_uid: Vec<u32>,
    /// Threads that serve connections [default: one a core, at most 4]
    #[arg(
        long,
        value_name = "N",
        env = "PLUGGABLE_WORKERS",
        hide_env_values = true,
        value_parser = workers
    )]
    workers: Option<NonZeroUsize>,
    /// Largest request [default: 16Mi]
    #[arg(
        long,
        value_name = "SIZE",
        env = "PLUGGABLE_MAX_MESSAGE_SIZE",
        hide_env_values = true,
        value_parser = size
    )]
    max_message_size: Option<usize>,
    /// How long a stop waits at most for runtimes to leave [default: 20s]
    #[arg(
        long,
        value_name = "DURATION",
        env = "PLUGGABLE_SHUTDOWN_LINGER",
        hide_env_values = true,
        value_parser = duration
    )]
    shutdown_linger: Option<Duration>,
    /// How long calls in flight may take after that [default: 5s]
    #[arg(
        long,
        value_name = "DURATION",
        env = "PLUGGABLE_DRAIN_CAP",
        hide_env_values = true,
        value_parser = duration
    )]
    drain_cap: Option<Duration>,
    /// What to do when a runtime calls without Init, since this process was restarted: log a hint, send it SIGHUP (it
    /// inits again), or have the sidecar shut down (to be restarted) [default: none]
    #[arg(
        long,
        value_name = "WHAT",
        env = "PLUGGABLE_ON_LOST_INIT",
        hide_env_values = true,
        value_parser = PossibleValuesParser::new(OnLostInit::ALL.map(OnLostInit::as_str))
            .try_map(|choice| choice.parse::<OnLostInit>())
    )]
    on_lost_init: Option<OnLostInit>,
    /// Answer /livez, /readyz and /metrics over HTTP here: ADDRESS:PORT, or PORT for loopback
    #[arg(
        long,
        value_name = "ADDR",
        env = "PLUGGABLE_HTTP_LISTEN",
        hide_env_values = true,
        value_parser = http_address
    )]
    http_listen: Option<SocketAddr>,
}

impl ServeArgs {
    /// The server with what was given.
    #[must_use]
    pub fn apply(&self, mut server: Server) -> Server {
        if let Some(folder) = &self.sockets_folder {
            server = server.sockets_folder(folder);
        }
        if let Some(mode) = self.socket_mode {
            server = server.socket_mode(mode);
        }
        if let Some(group) = &self.socket_group {
            server = server.socket_group(group);
        }
        for uid in &self.allow_uid {
            server = server.allow_uid(*uid);
        }
        if let Some(workers) = self.workers {
            server = server.workers(workers);
        }
        if let Some(bytes) = self.max_message_size {
            server = server.max_message_size(bytes);
        }
        if let Some(linger) = self.shutdown_linger {
            server = server.shutdown_linger(linger);
        }
        if let Some(cap) = self.drain_cap {
            server = server.drain_cap(cap);
        }
        if let Some(policy) = self.on_lost_init {
            server = server.on_lost_init(policy);
        }
        if let Some(address) = self.http_listen {
            server = server.http_listen(address);
        }
        server
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected octal permissions such as 0660".to_owned())
}

fn uid(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "expected the number of a user such as 65532".to_owned())
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "expected a number from 1 on".to_owned())
}

fn size(text: &str) -> Result<usize, Error> {
    let size: ByteSize = text.parse()?;
    let bytes = usize::try_from(size.bytes())
        .ok()
        .filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| Error::invalid_request("expected a size such as 16Mi"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text)
        .ok()
        .and_then(crate::settings::GoDuration::non_negative)
        .ok_or_else(|| "expected a duration such as 20s or 1m30s".to_owned())
}

fn http_address(text: &str) -> Result<SocketAddr, String> {
    let port = text
        .parse()
        .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    port.or_else(|_| text.parse())
        .map_err(|_| "expected ADDRESS:PORT such as 0.0.0.0:8080, or PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(arguments: &[&str]) -> Result<ServeArgs, String> {
        let arguments = ["program"].iter().chain(arguments);
        Program::try_parse_from(arguments)
            .map(|program| program.serve)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_given_changes_nothing() {
        let before = Server::new("a").shutdown_linger(Duration::from_secs(1));
        let after = parse(&[]).unwrap().apply(before.clone());
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    #[test]
    fn what_is_given_wins() {
        let arguments = parse(&[
            "--sockets-folder=/s",
            "--socket-mode=0606",
            "--socket-group=dapr",
            "--allow-uid=1,2",
            "--allow-uid=3",
            "--workers=3",
            "--max-message-size=1Mi",
            "--shutdown-linger=1m30s",
            "--drain-cap=0s",
            "--on-lost-init=hup",
            "--http-listen=8080",
        ]);
        let server = arguments
            .unwrap()
            .apply(Server::new("a").socket_mode(0o600));
        let expected = Server::new("a")
            .sockets_folder("/s")
            .socket_mode(0o606)
            .socket_group("dapr")
            .allow_uid(1)
            .allow_uid(2)
            .allow_uid(3)
            .workers(NonZeroUsize::new(3).unwrap())
            .max_message_size(1 << 20)
            .shutdown_linger(Duration::from_secs(90))
            .drain_cap(Duration::ZERO)
            .on_lost_init(OnLostInit::Hup)
            .http_listen("127.0.0.1:8080".parse().unwrap());
        assert_eq!(format!("{server:?}"), format!("{expected:?}"));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (argument, expected) in [
            ("--socket-mode=999", "octal permissions"),
            ("--socket-mode=1777", "octal permissions"),
            ("--workers=0", "a number from 1 on"),
            ("--max-message-size=big", "a size in bytes"),
            ("--max-message-size=0", "a size"),
            ("--shutdown-linger=20", "a duration such as"),
            ("--shutdown-linger=-1s", "a duration such as"),
            ("--on-lost-init=pray", "none, hup, shutdown"),
            ("--http-listen=:80", "ADDRESS:PORT"),
            ("--allow-uid=root", "the number of a user"),
        ] {
            let error = parse(&[argument]).unwrap_err();
            assert!(error.contains(expected), "{argument}: {error}");
        }
    }
}
