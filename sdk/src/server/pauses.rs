//! Which peers have paused their pull streams.
//!
//! A pause is the caller's own: it concerns the streams that its peer has for the instance. It ends with Resume, with
//! those streams, or with the next Init or pull stream of that peer: a runtime pauses when it stops, and never resumes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::core::PeerId;
use crate::delivery::Gate;

/// The pull streams of one broker, by peer and instance.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<(PeerId, String), Streams>>);

/// The streams that one peer has for one instance. They share a gate.
#[derive(Debug, Default)]
struct Streams {
    count: usize,
    gate: Gate,
    /// Whether the component was told of the pause, too, and is to be told of its end.
    told: bool,
}

/// Whether the component is to be told that a pause is over.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TellComponent(pub(super) bool);

impl Pauses {
    /// A stream begins. Gives its gate, open.
    pub(super) fn begin(&self, peer: PeerId, instance: &str) -> (Gate, TellComponent) {
        let mut table = self.table();
        let streams = table.entry((peer, instance.to_owned())).or_default();
        streams.count += 1;
        (streams.gate.clone(), streams.resume())
    }

    /// A stream has ended.
    pub(super) fn end(&self, peer: PeerId, instance: &str) -> TellComponent {
        let mut table = self.table();
        let key = (peer, instance.to_owned());
        let Some(streams) = table.get_mut(&key) else {
            return TellComponent(false);
        };
        streams.count = streams.count.saturating_sub(1);
        if streams.count > 0 {
            return TellComponent(false);
        }
        let tell = streams.resume();
        table.remove(&key);
        tell
    }

    /// Whether the peer has a stream: without one there is nothing to pause.
    pub(super) fn has_streams(&self, peer: PeerId, instance: &str) -> bool {
        self.table().contains_key(&(peer, instance.to_owned()))
    }

    /// Holds back the messages of the peer's streams. When they have ended meanwhile, so has the pause.
    pub(super) fn pause(
        &self,
        peer: PeerId,
        instance: &str,
        TellComponent(told): TellComponent,
    ) -> TellComponent {
        let mut table = self.table();
        let Some(streams) = table.get_mut(&(peer, instance.to_owned())) else {
            return TellComponent(told);
        };
        streams.gate.pause();
        streams.told |= told;
        TellComponent(false)
    }

    /// Lets the messages of the peer's streams through.
    pub(super) fn resume(&self, peer: PeerId, instance: &str) -> TellComponent {
        let mut table = self.table();
        let streams = table.get_mut(&(peer, instance.to_owned()));
        streams.map_or(TellComponent(false), Streams::resume)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<(PeerId, String), Streams>> {
        // Every change is one step, so a panic elsewhere leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn resume(&mut self) -> TellComponent {
        self.gate.resume();
        TellComponent(std::mem::take(&mut self.told))
    }
}
