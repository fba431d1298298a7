//! Servers that run: how they start, and the sequence of a stop.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
#[cfg(feature = "program")]
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::access::{Access, own_user};
use super::callers::Callers;
use super::components::Components;
use super::core::{Dispatch, Drained, Limits, Listening, Workers, default_workers};
use super::health::Health;
#[cfg(feature = "program")]
use super::http::Endpoints;
use super::socket::{Published, Staged};
use super::{Options, Server, reflection};
use crate::blocks::Blocks;
use crate::error::{Error, Result};
use crate::socket::{SocketName, SocketsFolder, in_container, replaces_builtin};

/// How long a component's calls may go on that the drain could not end, before it is closed all the same.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// How long the threads may take to end.
const WORKERS_CAP: Duration = Duration::from_secs(2);

/// Servers that run: their sockets are published and answer. They share one set of worker threads.
///
/// Dropped without [`stop`](Self::stop), it removes the sockets and ends all connections at once, without closing the
/// components.
#[derive(Debug)]
pub struct Serving {
    running: Vec<Running>,
    workers: Workers,
    #[cfg(feature = "program")]
    endpoints: Endpoints,
}

/// How servers stop.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Goes on serving until the runtimes have left, at most [`Server::shutdown_linger`]; then drains.
    Linger,
    /// Drains: removes the sockets, sends peers away, lets calls in flight finish for [`Server::drain_cap`], closes the
    /// components.
    Drain,
}

impl Serving {
    /// Starts servers: all of them, or none.
    ///
    /// # Errors
    /// What is wrong with the name, the folder, the socket or what is in its place, with the name of the server.
    pub async fn start(servers: impl IntoIterator<Item = Server>) -> Result<Self> {
        let servers: Vec<Server> = servers.into_iter().collect();
        let options = || servers.iter().map(|server| &server.options);
        let workers = options()
            .filter_map(|options| options.workers)
            .max()
            .unwrap_or_else(default_workers);
        let workers = Workers::start(workers).map_err(|error| {
            Error::internal(format!("start the worker threads: {error}")).with_source(error)
        })?;
        #[cfg(feature = "program")]
        let endpoints = {
            let addresses = options().filter_map(|options| options.http_listen);
            let runtimes = workers.runtimes().chain([Handle::current()]).collect();
            Endpoints::listen(addresses, runtimes).await?
        };
        let mut running = Vec::with_capacity(servers.len());
        for server in servers {
            let name = server.name.clone();
            let started = Running::start(server, &workers).await;
            running.push(started.map_err(|error| error.context(format!("serve {name}")))?);
        }
        #[cfg(feature = "program")]
        endpoints.set_ready(true);
        Ok(Self {
            running,
            workers,
            #[cfg(feature = "program")]
            endpoints,
        })
    }

    /// Where the sockets are, in the order of the servers.
    pub fn sockets(&self) -> impl Iterator<Item = &Path> {
        self.running.iter().map(|server| server.published.path())
    }

    /// Stops the servers, at the same time, and waits until they have.
    pub async fn stop(self, stop: Stop) {
        if stop == Stop::Linger {
            join_all(self.running.iter().map(Running::linger)).await;
        }
        #[cfg(feature = "program")]
        self.endpoints.set_ready(false);
        join_all(self.running.into_iter().map(Running::drain)).await;
        self.workers.stop(WORKERS_CAP).await;
    }
}

/// One server that runs.
struct Running {
    name: SocketName,
    published: Published,
    listening: Listening,
    components: Arc<Components>,
    callers: Arc<Callers>,
    health: Health,
    linger: Duration,
    drain_cap: Duration,
}

impl Running {
    async fn start(server: Server, workers: &Workers) -> Result<Self> {
        let Server {
            name,
            blocks,
            options,
        } = server;
        let name = SocketName::parse(&name)?;
        if blocks.list().next().is_none() {
            return Err(Error::invalid_settings("it has no building block"));
        }
        let in_container = in_container();
        let access = Access::choose(
            options.socket_mode,
            options.socket_group.as_deref(),
            in_container,
        )?;
        let folder = SocketsFolder::find(options.sockets_folder.as_deref());
        folder.create(in_container)?;
        let (listener, staged) = Staged::bind(folder.path(), &name, access).await?;

        let mut dispatch = Dispatch::default();
        let components = Components::serve(&blocks, &options, &mut dispatch);
        let building_blocks: BTreeSet<_> = dispatch.names().collect();
        let health = Health::serve(&mut dispatch, building_blocks.clone()).await;
        let listed = reflection::serve(&mut dispatch)?;
        let observer = Arc::clone(&components);
        let callers = Arc::new(Callers::new(building_blocks, observer));
        let observer = Arc::clone(&callers);
        let listening = workers
            .listen(listener, dispatch, limits(&options), observer)
            .map_err(|error| {
                Error::internal(format!("listen on the socket: {error}")).with_source(error)
            })?;
        reflection::check(&staged.address(), &listed).await?;
        let published = staged.publish().await?;
        announce(&name, &blocks, published.path(), &folder, access);
        Ok(Self {
            name,
            published,
            listening,
            components,
            callers,
            health,
            linger: options.shutdown_linger,
            drain_cap: options.drain_cap,
        })
    }

    /// Takes nothing new from the backends and waits for the runtimes to leave.
    async fn linger(&self) {
        self.components.hold_back();
        let (name, connections) = (&self.name, self.callers.count());
        if connections > 0 {
            let at_most = self.linger;
            tracing::info!(component = %name, connections, ?at_most, "waiting for runtimes to leave");
        }
        if timeout(self.linger, self.callers.gone()).await.is_err() {
            let connections = self.callers.count();
            tracing::warn!(component = %name, connections, "some runtimes have not left");
        }
    }

    async fn drain(self) {
        let Self {
            name,
            published,
            listening,
            components,
            health,
            drain_cap,
            ..
        } = self;
        drop(published);
        health.end().await;
        // The first poll of the drain tells the peers to go away; then their streams end.
        let (
            Drained {
                dropped_calls,
                stuck_connections,
            },
            (),
        ) = join(listening.drain(drain_cap), async {
            components.end_subscriptions();
        })
        .await;
        if dropped_calls > 0 || stuck_connections > 0 {
            let cap = drain_cap;
            tracing::warn!(component = %name, dropped_calls, stuck_connections, ?cap, "calls in flight were cut off");
        }
        components.close(CLOSE_PATIENCE).await;
        tracing::info!(component = %name, "stopped");
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("name", &self.name)
            .field("socket", &self.published.path())
            .finish_non_exhaustive()
    }
}

fn limits(options: &Options) -> Limits {
    let mut limits = Limits::default();
    if !options.allowed_uids.is_empty() {
        let mut allowed = options.allowed_uids.clone();
        // A probe that runs beside us, and our own look before the socket is published.
        allowed.push(own_user().as_raw());
        limits.allowed_uids = Some(allowed);
    }
    limits
}

/// Says what is served, where and to whom, and what may surprise.
fn announce(
    name: &SocketName,
    blocks: &Blocks,
    socket: &Path,
    folder: &SocketsFolder,
    access: Access,
) {
    let types: BTreeSet<String> = blocks.list().map(|block| name.type_of(block)).collect();
    tracing::info!(
        component = %name,
        socket = %socket.display(),
        folder_from = %folder.source(),
        mode = format_args!("{:04o}", access.mode),
        types = list(&types),
        open_to = %access,
        "serving"
    );
    if let Some(warning) = folder.warning() {
        tracing::warn!(component = %name, "{warning}");
    }
    let replaced: BTreeSet<String> = blocks
        .list()
        .filter(|block| replaces_builtin(*block, name.as_str()))
        .map(|block| name.type_of(block))
        .collect();
    if !replaced.is_empty() {
        tracing::warn!(
            component = %name,
            types = list(&replaced),
            "this name replaces a built-in component of every daprd that starts with this folder from now on; one that \
             runs already keeps its own: choose another name unless that is what you want"
        );
    }
}

fn list(types: &BTreeSet<String>) -> String {
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    types.join(", ")
}

#[cfg(test)]
mod tests;
