//! The entries that one subscription has: from when Redis hands them out until they are acknowledged or left to others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::id::EntryId;

/// The entries of a subscription.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Mutex<State>,
    /// There is something to tell Redis.
    told: Notify,
    /// Redis has been told something.
    settled: Notify,
    /// A message has its answer.
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<EntryId, Stage>,
    /// What is to be acknowledged, in the order of the answers.
    handled: VecDeque<EntryId>,
    /// What is to be given back.
    returned: Vec<EntryId>,
    /// How many messages were handled so far.
    answers: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unanswered,
    Handled,
}

/// What Redis is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settlement {
    /// What to acknowledge.
    pub(super) handled: Vec<EntryId>,
    /// What to give back.
    pub(super) returned: Vec<EntryId>,
}

impl Held {
    /// Entries that Redis has handed out.
    pub(super) fn add(&self, ids: impl IntoIterator<Item = EntryId>) {
        let entries = ids.into_iter().map(|id| (id, Stage::Unanswered));
        self.state().entries.extend(entries);
    }

    /// Whether an entry is here.
    pub(super) fn has(&self, id: EntryId) -> bool {
        self.state().entries.contains_key(&id)
    }

    /// All entries.
    pub(super) fn ids(&self) -> Vec<EntryId> {
        self.state().entries.keys().copied().collect()
    }

    /// An entry need not come again: it is to be acknowledged.
    pub(super) fn handle(&self, id: EntryId) {
        let mut state = self.state();
        state.entries.insert(id, Stage::Handled);
        state.handled.push_back(id);
        state.answers += 1;
        self.told.notify_one();
        self.answered.notify_one();
    }

    /// An entry is left to others from now on.
    pub(super) fn give_back(&self, id: EntryId) {
        let mut state = self.state();
        state.entries.remove(&id);
        state.returned.push(id);
        self.told.notify_one();
    }

    /// An entry is left alone: others take it when nobody has asked for it long enough.
    pub(super) fn leave(&self, id: EntryId) {
        self.state().entries.remove(&id);
    }

    /// What Redis is to be told next, as soon as there is something: up to `most` entries of each kind.
    pub(super) async fn settlement(&self, most: usize) -> Settlement {
        loop {
            let settlement = self.state().settlement(most);
            if settlement != Settlement::default() {
                return settlement;
            }
            self.told.notified().await;
        }
    }

    /// Redis was told: that was the end of it.
    pub(super) fn done(&self, settlement: &Settlement) {
        let mut state = self.state();
        // They are the first, since what came meanwhile stands behind them.
        state.handled.drain(..settlement.handled.len());
        state.returned.drain(..settlement.returned.len());
        for id in &settlement.handled {
            state.entries.remove(id);
        }
        self.settled.notify_one();
    }

    /// Returns when so many more messages were handled.
    pub(super) async fn answers(&self, count: usize) {
        let first = self.state().answers;
        while self.state().answers - first < count as u64 {
            self.answered.notified().await;
        }
    }

    /// Returns when no more than `most` entries wait for Redis to be told.
    pub(super) async fn settled_to(&self, most: usize) {
        while self.untold() > most {
            self.settled.notified().await;
        }
    }

    /// Everything that Redis is to be told when the subscription is over: what is unanswered goes back.
    pub(super) fn last_settlement(&self) -> Settlement {
        let state = self.state();
        let mut last = state.settlement(usize::MAX);
        let unanswered = state
            .entries
            .iter()
            .filter(|(_, stage)| **stage == Stage::Unanswered);
        last.returned.extend(unanswered.map(|(id, _)| *id));
        last
    }

    fn untold(&self) -> usize {
        let state = self.state();
        state.handled.len() + state.returned.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settlement(&self, most: usize) -> Settlement {
        Settlement {
            handled: self.handled.iter().take(most).copied().collect(),
            returned: self.returned.iter().take(most).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EntryId {
        EntryId::parse(format!("1-{number}").as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn what_is_told_is_over_and_the_rest_goes_back() {
        let held = Held::default();
        held.add((1..=5).map(id));
        held.handle(id(2));
        held.handle(id(1));
        held.give_back(id(3));
        held.leave(id(4));
        let first = held.settlement(1).await;
        assert_eq!(
            (&first.handled, &first.returned),
            (&vec![id(2)], &vec![id(3)])
        );
        held.handle(id(5));
        held.done(&first);
        assert!(!held.has(id(2)) && held.has(id(1)) && held.has(id(5)));
        held.add([id(6)]);
        let last = held.last_settlement();
        assert_eq!(last.handled, [id(1), id(5)]);
        assert_eq!(last.returned, [id(6)]);
        held.settled_to(2).await;
    }
}
