//! Which peers are here: those with a connection.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::core::{Peer, PeerId};

/// The peers that have a connection, and which of them an Init came from.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    here: HashMap<PeerId, Presence>,
    /// Whether an Init came from a peer that is only known by its connection. Such peers cannot be told apart from
    /// each other's earlier connections.
    nameless_init: bool,
}

#[derive(Debug, Default)]
struct Presence {
    connections: usize,
    init: bool,
}

impl Peers {
    /// A connection of the peer begins.
    pub(super) fn arrived(&self, peer: &Peer) {
        self.known().here.entry(peer.id).or_default().connections += 1;
    }

    /// A connection of the peer has ended. Says whether it was the last.
    pub(super) fn left(&self, peer: &Peer) -> bool {
        let mut known = self.known();
        let Some(presence) = known.here.get_mut(&peer.id) else {
            return false;
        };
        presence.connections = presence.connections.saturating_sub(1);
        let gone = presence.connections == 0;
        if gone {
            known.here.remove(&peer.id);
        }
        gone
    }

    /// Whether the peer has a connection.
    pub(super) fn is_here(&self, peer: PeerId) -> bool {
        self.known().here.contains_key(&peer)
    }

    /// An Init of the peer succeeded.
    pub(super) fn note_init(&self, peer: PeerId) {
        let mut known = self.known();
        known.nameless_init |= matches!(peer, PeerId::Connection(_));
        if let Some(presence) = known.here.get_mut(&peer) {
            presence.init = true;
        }
    }

    /// Whether an Init came from the peer, or may have: from another connection that may be of the same process.
    pub(super) fn has_init(&self, peer: PeerId) -> bool {
        let known = self.known();
        match peer {
            PeerId::Process(_) => known.here.get(&peer).is_some_and(|presence| presence.init),
            PeerId::Connection(_) => known.nameless_init,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is one step, so a panic elsewhere leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
