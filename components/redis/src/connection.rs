//! The connection of a component to Redis: commands go in, answers come out, whatever the server is.

mod dedicated;
mod endpoint;
mod hosts;
mod node;

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::settings::GoDuration;
use dapr_pluggable::{Error, Result};
use redis::{Cmd, RedisError, RedisResult, Value};

pub(crate) use self::dedicated::Dedicated;
use self::endpoint::Endpoint;
use self::node::Node;
use crate::error::translate;
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
    endpoint: Arc<Endpoint>,
    node: Node,
    limits: Limits,
    /// How often a read may be tried again.
    retries: u32,
    server: String,
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
        let endpoint = Arc::new(Endpoint::new(settings, limits.dial).map_err(in_settings)?);
        let server = endpoint.to_string();
        let node = Node::connect(Arc::clone(&endpoint), node::Pauses::new(settings)).await;
        let node =
            node.map_err(|error| translate(error, &server).context("error connecting to redis"))?;
        let connection = Self {
            endpoint,
            node,
            limits,
            retries: retries(settings),
            server,
        };
        connection.ping().await?;
        Ok(connection)
    }

    /// Runs a command that changes nothing. It may be sent more than once, where the connection breaks.
    pub(crate) async fn read(&self, command: &Cmd) -> RedisResult<Value> {
        let mut tries = 0;
        loop {
            let answer = self.node.run(command, self.limits.read).await;
            match answer {
                Err(error) if error.is_connection_dropped() && tries < self.retries => tries += 1,
                answer => return answer,
            }
        }
    }

    /// Runs a command that may change something. It is sent once: with an error it may have happened.
    pub(crate) async fn write(&self, command: &Cmd) -> RedisResult<Value> {
        self.node.run(command, self.limits.write).await
    }

    /// Runs commands that change nothing, in one round trip to each server; the answers come in the order of the commands.
    /// It fails where there is no answer to any.
    pub(crate) async fn read_all(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut tries = 0;
        loop {
            let answers = self.node.run_all(commands, self.limits.read).await;
            match answers {
                Err(error) if error.is_connection_dropped() && tries < self.retries => tries += 1,
                answers => return answers,
            }
        }
    }

    /// Runs commands that may change something, as [`read_all`](Self::read_all), each sent once.
    pub(crate) async fn write_all(&self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        self.node.run_all(commands, self.limits.write).await
    }

    /// A connection of its own for commands on a key that block.
    pub(crate) fn dedicated(&self, _key: &str) -> Dedicated {
        Dedicated::new(Arc::clone(&self.endpoint))
    }

    /// How long commands may take.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the server answers now.
    pub(crate) async fn ping(&self) -> Result<()> {
        match self.read(&redis::cmd("PING")).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(error).context("error connecting to redis")),
        }
    }

    /// The SDK's error for one of this connection.
    pub(crate) fn error(&self, error: RedisError) -> Error {
        translate(error, &self.server)
    }

    /// Ends the connection; commands that are under way fail.
    pub(crate) fn close(&self) {
        self.node.close();
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

fn retries(settings: &ConnectionSettings) -> u32 {
    let retries = settings.redis_max_retries.unwrap_or(3).max(0);
    u32::try_from(retries).unwrap_or(u32::MAX)
}
