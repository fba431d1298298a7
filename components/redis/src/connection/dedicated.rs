//! A connection of one's own, for commands that block.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::cluster_routing::Slot;
use redis::{Cmd, Pipeline, PushInfo, RedisResult, Value};

use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::node::within;
use super::redirect::{HOPS, Redirect, redirect};
use crate::error::{is_elsewhere, is_lost};

/// A connection that nobody else uses. It is opened by the first command, and by the next one after it broke; it is closed
/// when this is dropped, whatever the server is doing on it.
#[derive(Debug)]
pub(crate) struct Dedicated {
    place: Place,
    connection: Option<(Arc<Endpoint>, MultiplexedConnection)>,
}

#[derive(Debug)]
pub(super) enum Place {
    Server(Arc<Endpoint>),
    Slot(Arc<Cluster>, Slot),
}

impl Dedicated {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            connection: None,
        }
    }

    /// Runs a command, once: with an error it may have happened. The limit does not count what it takes to connect. In a
    /// cluster the command goes to the node that has the key, also where that changes while it blocks.
    pub(crate) async fn run(&mut self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let mut hops = 0;
        loop {
            // Taken out, so that nothing is left of a connection whose answer nobody waits for.
            let (endpoint, mut connection) = match self.connection.take() {
                Some(opened) => opened,
                None => open(self.place.endpoint()?).await?,
            };
            let answer = within(limit, command.query_async(&mut connection)).await;
            let Err(error) = &answer else {
                self.connection = Some((endpoint, connection));
                return answer;
            };
            let next = match &self.place {
                Place::Slot(cluster, _) => {
                    redirect(error, &endpoint).map(|redirect| (cluster, redirect))
                }
                Place::Server(_) => None,
            };
            if !is_lost(error) && !is_elsewhere(error) && error.code() != Some("MOVED") {
                self.connection = Some((endpoint, connection));
            }
            if let Place::Slot(cluster, _) = &self.place {
                cluster.heed(error);
            }
            hops += 1;
            match next {
                Some((cluster, Redirect::Moved(host))) if hops <= HOPS => {
                    let owner = cluster.node(&host)?;
                    self.connection = Some(open(Arc::clone(owner.endpoint())).await?);
                }
                Some((cluster, Redirect::Ask(host))) => {
                    let owner = cluster.node(&host)?;
                    return ask(Arc::clone(owner.endpoint()), command, limit).await;
                }
                _ => return answer,
            }
        }
    }
}

impl Place {
    fn endpoint(&self) -> RedisResult<Arc<Endpoint>> {
        match self {
            Self::Server(endpoint) => Ok(Arc::clone(endpoint)),
            Self::Slot(cluster, slot) => Ok(Arc::clone(cluster.owner(*slot)?.endpoint())),
        }
    }
}

async fn open(endpoint: Arc<Endpoint>) -> RedisResult<(Arc<Endpoint>, MultiplexedConnection)> {
    let connection = endpoint.connect(Arc::new(ignore)).await?;
    Ok((endpoint, connection))
}

/// Runs a command at a node that a slot is on its way to, on a connection for this one time.
async fn ask(endpoint: Arc<Endpoint>, command: &Cmd, limit: Duration) -> RedisResult<Value> {
    let (_, mut connection) = open(endpoint).await?;
    let mut both = Pipeline::new();
    both.cmd("ASKING").ignore().add_command(command.clone());
    let (answer,): (Value,) = within(limit, both.query_async(&mut connection)).await?;
    Ok(answer)
}

/// A broken connection is found out by the next answer.
fn ignore(_: PushInfo) -> Result<(), SendError> {
    Ok(())
}
