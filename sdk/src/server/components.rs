//! The components behind one socket: the values of each building block, and what they share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::adapter::Socket;
use super::core::{Dispatch, Observer, Peer};
use super::instances::Lifecycle;
use super::lost_init::{LostInit, Sidecar};
use super::peers::Peers;
use super::{Options, binding, pubsub, secret, state};
use crate::blocks::Blocks;

/// The values of every building block behind one socket.
pub(super) struct Components {
    peers: Arc<Peers>,
    lost_init: Arc<LostInit>,
    instances: Vec<Arc<dyn Lifecycle>>,
}

impl Components {
    /// Adds the services of the building blocks. No value is open yet.
    pub(super) fn serve(blocks: &Blocks, options: &Options, dispatch: &mut Dispatch) -> Arc<Self> {
        let peers = Arc::new(Peers::default());
        let sidecar = Sidecar::from_env();
        let lost_init = LostInit::new(options.on_lost_init, sidecar, Arc::clone(&peers));
        let mut socket = Socket {
            dispatch,
            blocks,
            max_message_size: options.max_message_size,
            peers: &peers,
            lost_init: &lost_init,
            instances: Vec::new(),
        };
        if let Some(registration) = &blocks.state_store {
            state::serve(&mut socket, registration);
        }
        if let Some(registration) = &blocks.pubsub {
            pubsub::serve(&mut socket, registration);
        }
        if let Some(registration) = &blocks.input_binding {
            binding::serve_input(&mut socket, registration);
        }
        if let Some(registration) = &blocks.output_binding {
            binding::serve_output(&mut socket, registration);
        }
        if let Some(registration) = &blocks.secret_store {
            secret::serve(&mut socket, registration);
        }
        let instances = socket.instances;
        Arc::new(Self {
            peers,
            lost_init,
            instances,
        })
    }

    /// Takes nothing new from backends.
    pub(super) fn hold_back(&self) {
        for instances in &self.instances {
            instances.hold_back();
        }
    }

    /// Ends all subscriptions: what is unanswered is abandoned.
    pub(super) fn end_subscriptions(&self) {
        for instances in &self.instances {
            instances.end_subscriptions();
        }
    }

    /// Closes all values. Calls that are still in flight have `patience` to end.
    pub(super) async fn close(&self, patience: Duration) {
        self.lost_init.stop().await;
        join_all(
            self.instances
                .iter()
                .map(|instances| instances.close(patience)),
        )
        .await;
    }
}

impl Observer for Components {
    fn opened(&self, peer: &Peer) {
        self.peers.arrived(peer);
        self.lost_init.connected(peer);
    }

    fn first_call(&self, peer: &Peer, _: &'static str) {
        self.lost_init.broke_silence(peer);
    }

    fn closed(&self, peer: &Peer) {
        self.lost_init.broke_silence(peer);
        if self.peers.left(peer) {
            for instances in &self.instances {
                instances.peer_left(peer.id);
            }
        }
    }
}

impl fmt::Debug for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Components")
            .field("lost_init", &self.lost_init)
            .finish_non_exhaustive()
    }
}
