//! The connections to the nodes of a cluster: each command goes to the node that has its key.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::join_all;
use redis::cluster_routing::Slot;
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::access::Access;
use super::hosts::Host;
use super::node::{Node, Pauses, within};
use super::redirect::{HOPS, Redirect, redirect};
use super::route::{Route, route};
use super::slots::Slots;
use crate::error::{is_elsewhere, is_lost};

/// The pause before a command runs again whose keys are on their way from one node to another.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// The shortest time between two looks at who has which slot.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How often to look while a node is not reached.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The longest that one node is waited for that is asked who has which slot.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// A cluster. A task looks who has which slot whenever an answer or an error says that it may have changed.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Arc<Nodes>,
    looker: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Nodes {
    access: Access,
    pauses: Pauses,
    seeds: Vec<Host>,
    map: RwLock<Map>,
    stale: Notify,
}

/// Who has what, as far as known.
#[derive(Clone, Debug, Default)]
struct Map {
    slots: Arc<Slots>,
    nodes: BTreeMap<Host, Arc<Node>>,
}

impl Cluster {
    /// Connects to a cluster by way of some of its nodes.
    pub(crate) async fn connect(
        seeds: Vec<Host>,
        access: Access,
        pauses: Pauses,
    ) -> RedisResult<Self> {
        let nodes = Arc::new(Nodes {
            access,
            pauses,
            seeds,
            map: RwLock::default(),
            stale: Notify::new(),
        });
        nodes.look(0).await?;
        let looker = tokio::spawn(keep_looking(Arc::clone(&nodes)));
        Ok(Self {
            nodes,
            looker: AbortOnDropHandle::new(looker),
        })
    }

    /// Runs a command at the node that has its key; one without a key that concerns every node runs at all of them.
    pub(crate) async fn run(&self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let deadline = Instant::now() + limit;
        match route(command) {
            Route::Slot(slot) => {
                let node = self.owner(slot)?;
                let answer = self.heeded(node.run(command, limit).await);
                self.follow(&node, command, answer, deadline).await
            }
            Route::Any => {
                let node = self.any()?;
                self.heeded(node.run(command, limit).await)
            }
            Route::Every => self.run_at_every(command, limit).await,
        }
    }

    /// Runs commands, in one round trip to each node.
    pub(crate) async fn run_all(
        &self,
        commands: &[Cmd],
        limit: Duration,
    ) -> Vec<RedisResult<Value>> {
        let deadline = Instant::now() + limit;
        let mut answers: Vec<Option<RedisResult<Value>>> = commands.iter().map(|_| None).collect();
        let mut parts: Vec<(Arc<Node>, Vec<usize>)> = Vec::new();
        for ((index, command), answer) in commands.iter().enumerate().zip(&mut answers) {
            let node = match route(command) {
                Route::Slot(slot) => self.owner(slot),
                Route::Any | Route::Every => self.any(),
            };
            match node {
                Ok(node) => match parts.iter_mut().find(|part| Arc::ptr_eq(&part.0, &node)) {
                    Some((_, indexes)) => indexes.push(index),
                    None => parts.push((node, vec![index])),
                },
                Err(error) => *answer = Some(Err(error)),
            }
        }
        let runs = parts.into_iter().map(|(node, indexes)| async move {
            let part = indexes.iter().filter_map(|index| commands.get(*index));
            let found = match node.run_all(part, limit).await {
                Ok(answers) => answers,
                Err(error) => vec![Err(error); indexes.len()],
            };
            let followed = indexes.into_iter().zip(found).map(|(index, answer)| {
                let (node, answer) = (&node, self.heeded(answer));
                async move {
                    let answer = match commands.get(index) {
                        Some(command) => self.follow(node, command, answer, deadline).await,
                        None => answer,
                    };
                    (index, answer)
                }
            });
            join_all(followed).await
        });
        for (index, answer) in join_all(runs).await.into_iter().flatten() {
            if let Some(place) = answers.get_mut(index) {
                *place = Some(answer);
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(|| Err(nobody())))
            .collect()
    }

    /// The node that has a slot.
    pub(crate) fn owner(&self, slot: Slot) -> RedisResult<Arc<Node>> {
        let owner = self.nodes.map(|map| {
            let host = map.slots.owner(slot)?;
            map.nodes.get(host).cloned()
        });
        owner.ok_or_else(|| {
            self.nodes.stale.notify_one();
            nobody()
        })
    }

    /// The node at an address that another node has named.
    pub(crate) fn node(&self, host: &Host) -> RedisResult<Arc<Node>> {
        if let Some(node) = self.nodes.map(|map| map.nodes.get(host).cloned()) {
            return Ok(node);
        }
        let node = self.nodes.start(host)?;
        Ok(self.nodes.change(|map| {
            let known = map.nodes.entry(host.clone());
            Arc::clone(known.or_insert(node))
        }))
    }

    /// Has the map looked at again where an error says that it may be old.
    pub(crate) fn heed(&self, error: &RedisError) {
        if is_lost(error)
            || is_elsewhere(error)
            || matches!(error.code(), Some("MOVED" | "CLUSTERDOWN"))
        {
            self.nodes.stale.notify_one();
        }
    }

    /// Ends the connections, for good.
    pub(crate) fn close(&self) {
        self.nodes.change(|map| {
            map.nodes.values().for_each(|node| node.close());
            map.slots = Arc::default();
        });
        self.looker.abort();
    }

    /// Goes where an answer says that the command is to go instead. It has done nothing so far.
    async fn follow(
        &self,
        asked: &Node,
        command: &Cmd,
        mut answer: RedisResult<Value>,
        deadline: Instant,
    ) -> RedisResult<Value> {
        let mut hops = 0;
        while let Err(error) = &answer {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(redirect) = redirect(error, asked.endpoint()) else {
                return answer;
            };
            if left.is_zero() || hops == HOPS {
                return answer;
            }
            answer = match redirect {
                Redirect::Moved(host) => {
                    hops += 1;
                    self.node(&host)?.run(command, left).await
                }
                Redirect::Ask(host) => {
                    hops += 1;
                    let asking = redis::cmd("ASKING");
                    let both = [&asking, command];
                    let answers = self.node(&host)?.run_all(both.into_iter(), left).await;
                    answers.and_then(|mut answers| answers.pop().unwrap_or_else(|| Err(nobody())))
                }
                Redirect::TryAgain => {
                    sleep(TRY_AGAIN.min(left)).await;
                    let Route::Slot(slot) = route(command) else {
                        return answer;
                    };
                    self.owner(slot)?.run(command, left).await
                }
            };
            answer = self.heeded(answer);
        }
        answer
    }

    fn heeded(&self, answer: RedisResult<Value>) -> RedisResult<Value> {
        answer.inspect_err(|error| self.heed(error))
    }

    fn any(&self) -> RedisResult<Arc<Node>> {
        self.nodes.map(|map| {
            let mut nodes = map.nodes.values();
            let up = nodes.clone().find(|node| node.is_up());
            up.or_else(|| nodes.next()).cloned().ok_or_else(nobody)
        })
    }

    /// It fails where no node is reached, or one refuses. That one is not reached matters to what needs it, which fails by
    /// itself.
    async fn run_at_every(&self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let nodes: Vec<_> = self.nodes.map(|map| {
            let owners = map.slots.owners();
            owners
                .filter_map(|host| map.nodes.get(host).cloned())
                .collect()
        });
        let answers = join_all(nodes.iter().map(|node| node.run(command, limit))).await;
        let mut best = Err(nobody());
        for answer in answers {
            match self.heeded(answer) {
                Ok(answer) => best = Ok(answer),
                Err(error) if !is_lost(&error) => return Err(error),
                Err(error) if best.is_err() => best = Err(error),
                Err(_) => {}
            }
        }
        best
    }
}

impl Nodes {
    fn map<T>(&self, read: impl FnOnce(&Map) -> T) -> T {
        read(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, write: impl FnOnce(&mut Map) -> T) -> T {
        write(&mut self.map.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self, host: &Host) -> RedisResult<Arc<Node>> {
        let endpoint = super::Endpoint::at(host.clone(), self.access.clone())?;
        Ok(Arc::new(Node::start(endpoint, self.pauses)))
    }

    /// Asks the nodes that are known, then those of the settings, who has which slot. Each turn begins with another node:
    /// one that is cut off from the others does not hear of changes.
    async fn look(&self, turn: usize) -> RedisResult<()> {
        let mut failure = nobody();
        let known: Vec<_> = self.map(|map| {
            let mut nodes: Vec<_> = map.nodes.clone().into_iter().collect();
            let first = turn.checked_rem(nodes.len()).unwrap_or_default();
            nodes.rotate_left(first);
            nodes.sort_by_key(|(_, node)| !node.is_up());
            nodes
        });
        for (host, node) in &known {
            match self.ask(host, node).await {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        for host in &self.seeds {
            if known.iter().any(|(known, _)| known == host) {
                continue;
            }
            let endpoint = super::Endpoint::at(host.clone(), self.access.clone())?;
            let asked = async {
                let node = Node::connect(Arc::new(endpoint), self.pauses).await?;
                self.ask(host, &node).await
            };
            let limit = match self.seeds.len() {
                1 => self.access.dial(),
                _ => self.access.dial().min(LOOK_LIMIT),
            };
            match within(limit, asked).await {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Asks one node, and takes what it says for the truth.
    async fn ask(&self, host: &Host, node: &Node) -> RedisResult<()> {
        let mut ask = redis::cmd("CLUSTER");
        ask.arg("SLOTS");
        let slots = Slots::read(node.run(&ask, LOOK_LIMIT).await?, host)?;
        let mut nodes = BTreeMap::new();
        for owner in slots.owners() {
            let known = self.map(|map| map.nodes.get(owner).cloned());
            let node = known.map_or_else(|| self.start(owner), Ok)?;
            nodes.insert(owner.clone(), node);
        }
        self.change(|map| {
            *map = Map {
                slots: Arc::new(slots),
                nodes,
            };
        });
        Ok(())
    }
}

async fn keep_looking(nodes: Arc<Nodes>) {
    let mut is_known = true;
    for turn in 1_usize.. {
        let is_whole = is_known && nodes.map(|map| map.nodes.values().all(|node| node.is_up()));
        if is_whole {
            nodes.stale.notified().await;
        } else {
            // What is stale by then is no news.
            let _ = timeout(LOOK_AGAIN, nodes.stale.notified()).await;
        }
        let looked = nodes.look(turn).await;
        if let Err(error) = &looked {
            tracing::debug!(%error, "no node of the cluster says who has which slot");
        }
        is_known = looked.is_ok();
        sleep(LOOK_PAUSE).await;
    }
}

fn nobody() -> RedisError {
    RedisError::from((
        redis::ErrorKind::ClusterConnectionNotFound,
        "no node of the cluster has the slot of the key",
    ))
}
