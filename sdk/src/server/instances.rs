//! The open values of one building block, by instance name and peer.
//!
//! Every Init opens a value for the name in its header and the peer that sent it. A call goes to the value of its own
//! peer, else to the newest of that name: a runtime whose channel idled out comes back without an Init. So two
//! runtimes on one socket never disturb each other. A value closes, after its calls in flight, when its peer replaces
//! it, when its peer is gone and there is a newer one, and at the end.

mod closing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use self::closing::{Closing, Manner};
use super::core::{Peer, PeerId};
use super::lost_init::LostInit;
use super::peers::Peers;
use crate::blocks::Registration;
use crate::component::InstanceId;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Guard, Held, Kind, Opening};
use crate::metadata::Metadata;

/// How many values one instance name may have at once.
const MOST_VALUES: usize = 64;
/// How long an exclusive block waits for the calls in flight of the value that has to go first.
const EXCLUSIVE_WAIT: Duration = Duration::from_secs(10);

/// The open values of one building block.
pub(super) struct Instances<K: Kind> {
    registration: Registration<K>,
    peers: Arc<Peers>,
    lost_init: Arc<LostInit>,
    table: RwLock<Table<K>>,
    closing: Closing,
}

struct Table<K: Kind> {
    names: HashMap<String, Name<K>>,
    /// Nothing new is taken from backends any more.
    held: bool,
    /// Nothing opens any more.
    stopped: bool,
}

/// What there is of one instance name.
struct Name<K: Kind> {
    /// In the order of their Inits: the newest last. One a peer.
    entries: Vec<Entry<K>>,
    /// Inits of an exclusive block take turns.
    turn: Arc<Semaphore>,
}

struct Entry<K: Kind> {
    peer: PeerId,
    state: State<K>,
}

enum State<K: Kind> {
    Open {
        guard: Arc<Guard<K>>,
        properties: Metadata,
    },
    /// There is no value, and why.
    Failed(String),
}

/// The value for a call. It is not closed while this lives.
pub(super) struct Found<K: Kind> {
    held: Held<K>,
    /// Whether the caller itself opened it.
    pub(super) is_own: bool,
}

impl<K: Kind> std::ops::Deref for Found<K> {
    type Target = Guard<K>;

    fn deref(&self) -> &Guard<K> {
        &self.held
    }
}

impl<K: Kind> Instances<K> {
    pub(super) fn new(
        registration: Registration<K>,
        peers: Arc<Peers>,
        lost_init: Arc<LostInit>,
    ) -> Self {
        Self {
            registration,
            peers,
            lost_init,
            table: RwLock::new(Table {
                names: HashMap::new(),
                held: false,
                stopped: false,
            }),
            closing: Closing::default(),
        }
    }

    /// The value for a call of a peer.
    ///
    /// # Errors
    /// [`NotOpened`](ErrorKind::NotOpened) when there is none.
    pub(super) fn find(&self, name: &str, peer: &Peer) -> Result<Found<K>> {
        match self.look_up(name, peer.id) {
            Some(found) => found,
            None => Err(self.lost_init.call_without_init(K::BLOCK, name, peer)),
        }
    }

    /// As [`find`](Self::find), where the lack of a value is no error.
    pub(super) fn find_if_any(&self, name: &str, peer: &Peer) -> Option<Found<K>> {
        self.look_up(name, peer.id)?.ok()
    }

    fn look_up(&self, name: &str, peer: PeerId) -> Option<Result<Found<K>>> {
        let table = self.read();
        if table.stopped {
            return Some(Err(stopping(name)));
        }
        let entries = &table.names.get(name)?.entries;
        let own = entries.iter().find(|entry| entry.peer == peer);
        let newest = || {
            let open = entries.iter().rev().find(|entry| entry.guard().is_some());
            open.or(entries.last())
        };
        let entry = own.or_else(newest)?;
        Some(match &entry.state {
            State::Open { guard, .. } => Ok(Found {
                held: guard.hold()?,
                is_own: entry.peer == peer,
            }),
            State::Failed(why) => Err(Error::new(ErrorKind::NotOpened, why.clone())),
        })
    }

    /// Opens a value for the peer. With the metadata that its live value has, there is nothing to do; when the opening
    /// fails, a value that it had stays.
    ///
    /// # Errors
    /// Those of the opening; [`Throttled`](ErrorKind::Throttled) when the name has too many values,
    /// [`Unavailable`](ErrorKind::Unavailable) when the process is stopping.
    pub(super) async fn init(&self, name: &str, peer: &Peer, properties: Metadata) -> Result<()> {
        let exclusive = self.registration.is_exclusive();
        let _turn = if exclusive {
            Some(self.turn(name).await?)
        } else {
            None
        };
        if self.is_open_with(name, peer.id, &properties) {
            return Ok(());
        }
        let opened = match self.prepare(name, peer.id, &properties) {
            Ok(opening) => {
                if exclusive {
                    self.make_way(name, peer.id).await;
                }
                opening.await
            }
            Err(error) => Err(error),
        };
        let inserted = opened.and_then(|guard| self.insert(name, peer.id, guard, properties));
        match &inserted {
            Ok(()) => self.peers.note_init(peer.id),
            Err(error) => self.note_failure(name, peer.id, error),
        }
        inserted
    }

    fn is_open_with(&self, name: &str, peer: PeerId, wanted: &Metadata) -> bool {
        let table = self.read();
        let name = table.names.get(name);
        name.and_then(|name| name.of(peer))
            .is_some_and(|entry| match &entry.state {
                State::Open { properties, .. } => properties == wanted,
                State::Failed(_) => false,
            })
    }

    /// Decodes the metadata, where there is room for one more value.
    fn prepare(&self, name: &str, peer: PeerId, properties: &Metadata) -> Result<Opening<K>> {
        let table = self.read();
        table.admit(name, peer)?;
        drop(table);
        self.registration
            .prepare(&InstanceId::new(name), properties)
    }

    async fn turn(&self, name: &str) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.write().name(name).turn);
        let turn = turn.acquire_owned().await;
        turn.map_err(|_| Error::internal(format!("the turns of instance {name:?} were closed")))
    }

    /// Closes what stands in the way of a new value of an exclusive block: the one that the peer has, those of peers
    /// that are gone, and among peers that are only known by their connections all, since any of them may be an
    /// earlier connection of the same runtime.
    async fn make_way(&self, name: &str, peer: PeerId) {
        for closed in self.start_to_make_way(name, peer) {
            // The task logs what goes wrong; that it ended is enough here.
            let _ended = closed.await;
        }
    }

    fn start_to_make_way(&self, name: &str, peer: PeerId) -> Vec<JoinHandle<()>> {
        let nameless = |peer| matches!(peer, PeerId::Connection(_));
        let mut table = self.write();
        let entries = &mut table.name(name).entries;
        let in_the_way = entries.extract_if(.., |entry| {
            entry.peer == peer
                || (nameless(entry.peer) && nameless(peer))
                || !self.peers.is_here(entry.peer)
        });
        let closing = in_the_way
            .filter_map(Entry::into_guard)
            .map(|guard| self.closing.start(guard, Manner::Within(EXCLUSIVE_WAIT)))
            .collect();
        // Stays if the Init is given up halfway.
        entries.push(Entry {
            peer,
            state: State::Failed(format!("the init of instance '{name}' has not finished")),
        });
        closing
    }

    /// Puts an open value in its place and starts to close what it replaces.
    fn insert(
        &self,
        name: &str,
        peer: PeerId,
        guard: Arc<Guard<K>>,
        properties: Metadata,
    ) -> Result<()> {
        let mut table = self.write();
        if let Err(error) = table.admit(name, peer) {
            self.closing.start(guard, Manner::Replaced);
            return Err(error);
        }
        if table.held {
            guard.hold_back();
        }
        let entries = &mut table.name(name).entries;
        if let Some(old) = entries.iter().position(|entry| entry.peer == peer)
            && let Some(old) = entries.remove(old).into_guard()
        {
            self.closing.start(old, Manner::Replaced);
        }
        entries.push(Entry {
            peer,
            state: State::Open { guard, properties },
        });
        self.sweep(entries);
        Ok(())
    }

    /// Calls of the peer are told why there is no value, unless it still has one.
    fn note_failure(&self, name: &str, peer: PeerId, error: &Error) {
        let mut table = self.write();
        if table.stopped {
            return;
        }
        let why = State::Failed(format!("the init of instance '{name}' failed: {error}"));
        let entries = &mut table.name(name).entries;
        match entries.iter_mut().find(|entry| entry.peer == peer) {
            None => entries.push(Entry { peer, state: why }),
            Some(entry) if entry.guard().is_none() => entry.state = why,
            Some(_) => {}
        }
    }

    /// Closes the values whose peers are gone and that are not the newest.
    fn sweep(&self, entries: &mut Vec<Entry<K>>) {
        let newest = entries.iter().rposition(|entry| entry.guard().is_some());
        let mut index = 0;
        entries.retain(|entry| {
            let keep = Some(index) == newest || self.peers.is_here(entry.peer);
            index += 1;
            if let (false, Some(guard)) = (keep, entry.guard()) {
                self.closing.start(Arc::clone(guard), Manner::Unused);
            }
            keep
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<K>> {
        // A panic under the lock leaves at worst a value in the table that is being closed.
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<K>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kind> Table<K> {
    fn name(&mut self, name: &str) -> &mut Name<K> {
        if !self.names.contains_key(name) {
            self.names.insert(name.to_owned(), Name::default());
        }
        self.names.entry(name.to_owned()).or_default()
    }

    /// Whether a value of the peer can be added.
    fn admit(&self, name: &str, peer: PeerId) -> Result<()> {
        if self.stopped {
            return Err(stopping(name));
        }
        let others = self.names.get(name).map_or(0, |name| {
            let others = name.entries.iter().filter(|entry| entry.peer != peer);
            others.filter(|entry| entry.guard().is_some()).count()
        });
        if others < MOST_VALUES {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Throttled,
            format!(
                "instance '{name}' is open for {others} runtimes: at most {MOST_VALUES} can share one name"
            ),
        ))
    }
}

impl<K: Kind> Default for Name<K> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl<K: Kind> Name<K> {
    fn of(&self, peer: PeerId) -> Option<&Entry<K>> {
        self.entries.iter().find(|entry| entry.peer == peer)
    }
}

impl<K: Kind> Entry<K> {
    fn guard(&self) -> Option<&Arc<Guard<K>>> {
        match &self.state {
            State::Open { guard, .. } => Some(guard),
            State::Failed(_) => None,
        }
    }

    fn into_guard(self) -> Option<Arc<Guard<K>>> {
        match self.state {
            State::Open { guard, .. } => Some(guard),
            State::Failed(_) => None,
        }
    }
}

fn stopping(name: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("instance '{name}' is closed: the component is stopping"),
    )
}

/// What the instances of every building block have in common.
#[async_trait]
pub(super) trait Lifecycle: Send + Sync + 'static {
    /// The last connection of a peer has ended.
    fn peer_left(&self, peer: PeerId);

    /// Takes nothing new from the backends of all values.
    fn hold_back(&self);

    /// Ends the subscriptions of all values: what is unanswered is abandoned.
    fn end_subscriptions(&self);

    /// Closes all values. Calls in flight have `patience` to end.
    async fn close(&self, patience: Duration);
}

#[async_trait]
impl<K: Kind> Lifecycle for Instances<K> {
    fn peer_left(&self, peer: PeerId) {
        let mut table = self.write();
        table.names.retain(|_, name| {
            if name.of(peer).is_some() {
                self.sweep(&mut name.entries);
            }
            // The turn of an Init under way is part of the name.
            !name.entries.is_empty() || Arc::strong_count(&name.turn) > 1
        });
    }

    fn hold_back(&self) {
        let mut table = self.write();
        table.held = true;
        let entries = table.names.values().flat_map(|name| &name.entries);
        entries
            .filter_map(Entry::guard)
            .for_each(|guard| guard.hold_back());
    }

    fn end_subscriptions(&self) {
        let table = self.read();
        let entries = table.names.values().flat_map(|name| &name.entries);
        entries
            .filter_map(Entry::guard)
            .for_each(|guard| guard.end_subscriptions());
        self.closing.end_subscriptions();
    }

    async fn close(&self, patience: Duration) {
        let names = {
            let mut table = self.write();
            table.stopped = true;
            std::mem::take(&mut table.names)
        };
        for entry in names.into_values().flat_map(|name| name.entries) {
            if let Some(guard) = entry.into_guard() {
                self.closing.start(guard, Manner::Replaced);
            }
        }
        self.closing.finish(patience).await;
    }
}
