//! The connections that a stop waits for.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::core::{Observer, Peer};

/// Keeps count of the connections that have carried a call of a building block: their runtimes still need us while
/// they stop. Who only asks for reflection or health does not.
pub(super) struct Callers {
    building_blocks: BTreeSet<&'static str>,
    connections: watch::Sender<HashSet<u64>>,
    next: Arc<dyn Observer>,
}

impl Callers {
    /// Looks for calls of these services, and tells the next observer everything.
    pub(super) fn new(building_blocks: BTreeSet<&'static str>, next: Arc<dyn Observer>) -> Self {
        Self {
            building_blocks,
            connections: watch::Sender::default(),
            next,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Returns when there are none.
    pub(super) async fn gone(&self) {
        // It fails when the sender is gone, which `self` holds.
        let _ = self
            .connections
            .subscribe()
            .wait_for(HashSet::is_empty)
            .await;
    }
}

impl Observer for Callers {
    fn opened(&self, peer: &Peer) {
        self.next.opened(peer);
    }

    fn first_call(&self, peer: &Peer, service: &'static str) {
        if self.building_blocks.contains(service) {
            self.connections
                .send_if_modified(|connections| connections.insert(peer.connection));
        }
        self.next.first_call(peer, service);
    }

    fn closed(&self, peer: &Peer) {
        self.next.closed(peer);
        self.connections
            .send_if_modified(|connections| connections.remove(&peer.connection));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::super::core::PeerId;
    use super::*;

    fn peer(connection: u64) -> Peer {
        Peer {
            id: PeerId::Process(1),
            connection,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn only_calls_of_building_blocks_count() {
        let callers = Callers::new(BTreeSet::from(["state"]), Arc::new(()));
        for connection in 1..=3 {
            callers.opened(&peer(connection));
        }
        callers.first_call(&peer(1), "health");
        assert_eq!(callers.gone().now_or_never(), Some(()));
        callers.first_call(&peer(1), "state");
        callers.first_call(&peer(2), "state");
        assert_eq!(callers.count(), 2);
        callers.closed(&peer(3));
        callers.closed(&peer(1));
        assert_eq!(callers.gone().now_or_never(), None);
        callers.closed(&peer(2));
        assert_eq!(callers.gone().now_or_never(), Some(()));
    }
}
