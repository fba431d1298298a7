//! The connection of a component to Redis: commands go in, answers come out, whatever the server is.

mod access;
mod cluster;
mod dedicated;
mod endpoint;
mod hosts;
mod node;
mod redirect;
mod route;
mod slots;

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::settings::GoDuration;
use dapr_pluggable::{Error, ErrorKind, Result};
use redis::cluster_routing::Slot;
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::time::{Instant, sleep};

use self::access::Access;
use self::cluster::Cluster;
pub(crate) use self::dedicated::Dedicated;
use self::dedicated::Place;
use self::endpoint::Endpoint;
use self::hosts::hosts;
use self::node::{Node, PATIENCE, Pauses};
pub(crate) use self::node::{closed, within};
use crate::error::{is_elsewhere, is_lost, translate};
use crate::settings::ConnectionSettings;

/// How long commands may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To connect, the log-in included.
    pub(crate) dial: Duration,
    /// A command that reads.
    pub(crate) read: Duration,
    /// A command that writes.
    pub(crate) write: Duration,
}

/// A connection that is shared by everything a component does, and lives as long as the component. Commands are pipelined
/// on it, so none may block.
#[derive(Debug)]
pub(crate) struct Connection {
    way: Way,
    limits: Limits,
    /// How often a read may be tried again.
    retries: usize,
    pauses: Pauses,
    server: String,
}

#[derive(Debug)]
enum Way {
    Server(Node),
    Cluster(Arc<Cluster>),
}

impl Connection {
    /// Connects. Afterwards the connection sees to itself: one that breaks is opened again.
    ///
    /// # Errors
    /// `InvalidSettings` for what cannot work, `Denied` where the server refuses the log-in, else `Unavailable`.
    pub(crate) async fn open(settings: &ConnectionSettings) -> Result<Self> {
        let in_settings = |error: Error| error.context("redis client configuration error");
        settings.validate().map_err(in_settings)?;
        let limits = Limits::new(settings);
        let access = Access::new(settings, limits.dial).map_err(in_settings)?;
        let pauses = Pauses::new(settings);
        let (server, way) = if settings.is_cluster() && !settings.failover {
            let seeds = hosts(settings).map_err(in_settings)?;
            let cluster = Cluster::connect(seeds, access, pauses).await;
            let server = format!("the cluster of {}", settings.redis_host);
            (
                server,
                cluster.map(|cluster| Way::Cluster(Arc::new(cluster))),
            )
        } else {
            let endpoint = Arc::new(Endpoint::new(settings, access).map_err(in_settings)?);
            let node = Node::connect(Arc::clone(&endpoint), pauses).await;
            (endpoint.to_string(), node.map(Way::Server))
        };
        let way = way.map_err(|error| {
            let hint = about_tls(settings, &error);
            let error = translate(error, &server);
            at_open(match hint {
                Some(hint) => Error::new(
                    ErrorKind::Unavailable,
                    format!("{}; {hint}", error.message()),
                ),
                None => error,
            })
        })?;
        let connection = Self {
            way,
            limits,
            retries: retries(settings),
            pauses,
            server,
        };
        connection.ping().await?;
        Ok(connection)
    }

    /// Runs a command that changes nothing. It may be sent more than once, where the connection breaks.
    pub(crate) async fn read(&self, command: &Cmd) -> RedisResult<Value> {
        let begin = Instant::now();
        let mut answer = self.run(command, self.limits.read).await;
        for pause in self.pauses() {
            if !answer.as_ref().is_err_and(may_pass) {
                break;
            }
            let Some(left) = self.left(begin, pause) else {
                break;
            };
            sleep(pause).await;
            answer = self.run(command, left).await;
        }
        answer
    }

    /// Runs a command that may change something. It is sent once: with an error it may have happened.
    pub(crate) async fn write(&self, command: &Cmd) -> RedisResult<Value> {
        self.run(command, self.limits.write).await
    }

    /// Runs commands that change nothing, in one round trip to each server; the answers come in the order of the commands.
    /// It fails where there is no answer to any.
    pub(crate) async fn read_all(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let begin = Instant::now();
        let mut answers = self.run_all(commands, self.limits.read).await;
        for pause in self.pauses() {
            let mut broken: Vec<_> = answers.iter_mut().zip(commands).collect();
            broken.retain(|(answer, _)| answer.as_ref().is_err_and(may_pass));
            if broken.is_empty() {
                break;
            }
            let Some(left) = self.left(begin, pause) else {
                break;
            };
            sleep(pause).await;
            let commands: Vec<Cmd> = broken
                .iter()
                .map(|(_, command)| (*command).clone())
                .collect();
            let again = self.run_all(&commands, left).await;
            for ((answer, _), again) in broken.into_iter().zip(again) {
                *answer = again;
            }
        }
        if_any(answers)
    }

    /// Runs commands that may change something, as [`read_all`](Self::read_all), each sent once.
    pub(crate) async fn write_all(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        if_any(self.run_all(commands, self.limits.write).await)
    }

    /// A connection of its own for commands on a key that block.
    pub(crate) fn dedicated(&self, key: &str) -> Dedicated {
        Dedicated::new(match &self.way {
            Way::Server(node) => Place::Server(Arc::clone(node.endpoint())),
            Way::Cluster(cluster) => Place::Slot(Arc::clone(cluster), Slot::for_key(key)),
        })
    }

    /// How long commands may take.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the server answers now.
    pub(crate) async fn ping(&self) -> Result<()> {
        match self.read(&redis::cmd("PING")).await {
            Ok(_) => Ok(()),
            Err(error) => Err(at_open(self.error(error))),
        }
    }

    /// The SDK's error for one of this connection.
    pub(crate) fn error(&self, error: RedisError) -> Error {
        translate(error, &self.server)
    }

    /// Ends the connection. Commands that come later fail.
    pub(crate) fn close(&self) {
        match &self.way {
            Way::Server(node) => node.close(),
            Way::Cluster(cluster) => cluster.close(),
        }
    }

    /// The pauses before a read is tried again. The first time it waits for the connection, if for anything.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        let later = self.pauses.iter();
        iter::once(Duration::ZERO).chain(later).take(self.retries)
    }

    /// How long another attempt at a read that began then may take, after a pause. `None` where the pause outlasts what a
    /// caller waits for a server that is away.
    fn left(&self, begin: Instant, pause: Duration) -> Option<Duration> {
        let past = begin.elapsed().saturating_add(pause);
        let left = self.limits.read.checked_sub(past)?;
        (past < PATIENCE && !left.is_zero()).then_some(left)
    }

    async fn run(&self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        match &self.way {
            Way::Server(node) => node.run(command, limit).await,
            Way::Cluster(cluster) => cluster.run(command, limit).await,
        }
    }

    async fn run_all(&self, commands: &[Cmd], limit: Duration) -> Vec<RedisResult<Value>> {
        match &self.way {
            Way::Server(node) => match node.run_all(commands.iter(), limit).await {
                Ok(answers) => answers,
                Err(error) => vec![Err(error); commands.len()],
            },
            Way::Cluster(cluster) => cluster.run_all(commands, limit).await,
        }
    }
}

impl Limits {
    fn new(settings: &ConnectionSettings) -> Self {
        let read = limit(settings.read_timeout, Duration::from_secs(3));
        Self {
            dial: limit(settings.dial_timeout, Duration::from_secs(5)),
            read,
            write: limit(settings.write_timeout, read),
        }
    }
}

/// A time of the settings. Zero stands for the default, as it does for Dapr's own component; a negative one would be
/// without limit, which nothing here is.
fn limit(setting: Option<GoDuration>, default: Duration) -> Duration {
    const WITHOUT: Duration = Duration::from_secs(60);
    match setting {
        None => default,
        Some(time) => match time.non_negative() {
            None => WITHOUT,
            Some(Duration::ZERO) => default,
            Some(time) => time,
        },
    }
}

/// Whether the same read may succeed now: its connection broke, or led to a server that is not the primary any more.
fn may_pass(error: &RedisError) -> bool {
    error.is_connection_dropped() || is_elsewhere(error)
}

/// The answers, unless there is none: then why not.
fn if_any(answers: Vec<RedisResult<Value>>) -> RedisResult<Vec<RedisResult<Value>>> {
    let is_lost = |answer: &RedisResult<Value>| answer.as_ref().is_err_and(is_lost);
    if !answers.iter().all(is_lost) {
        return Ok(answers);
    }
    match answers.into_iter().next() {
        Some(Err(error)) => Err(error),
        _ => Ok(Vec::new()),
    }
}

/// What a server with TLS does that is talked to without, and the other way round, where that shows only in how it ends.
fn about_tls(settings: &ConnectionSettings, error: &RedisError) -> Option<&'static str> {
    if settings.enable_tls {
        return error
            .is_timeout()
            .then_some("a server without TLS is silent: check enableTLS");
    }
    let ended = ["reset by peer", "broken pipe", "unexpected end of file"];
    let text = error.to_string().to_lowercase();
    (error.is_io_error() && ended.iter().any(|end| text.contains(end)))
        .then_some("a server with TLS ends connections without: check enableTLS")
}

fn at_open(error: Error) -> Error {
    error.context("error connecting to redis")
}

fn retries(settings: &ConnectionSettings) -> usize {
    let retries = settings.redis_max_retries.unwrap_or(3).max(0);
    usize::try_from(retries).unwrap_or(usize::MAX)
}
