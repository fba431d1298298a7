//! A connection of one's own, for commands that block.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{Cmd, PushInfo, RedisResult, Value};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::node::timed_out;
use crate::error::is_lost;

/// A connection that nobody else uses. It is opened by the first command, and by the next one after it broke.
#[derive(Debug)]
pub(crate) struct Dedicated {
    endpoint: Arc<Endpoint>,
    connection: Option<MultiplexedConnection>,
}

impl Dedicated {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            connection: None,
        }
    }

    /// Runs a command, once: with an error it may have happened. The limit does not count what it takes to connect.
    pub(crate) async fn run(&mut self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        // Taken out, so that nothing is left of a connection whose answer nobody waits for.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.endpoint.connect(ignore).await?,
        };
        let answer = match timeout(limit, command.query_async(&mut connection)).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(limit)),
        };
        if !answer.as_ref().is_err_and(is_lost) {
            self.connection = Some(connection);
        }
        answer
    }
}

/// A broken connection is found out by the next answer.
fn ignore(_: PushInfo) -> Result<(), SendError> {
    Ok(())
}
