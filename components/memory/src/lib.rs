//! All five of Dapr's building blocks in memory: to develop and test with, and to learn the SDK's traits from.
//!
//! What is here behaves as a component on a real backend should, in as little code as that takes: read
//! [`MemoryStateStore`] for a start. Nothing outlives the process.

mod state;
mod world;

use dapr_pluggable::Blocks;
use dapr_pluggable::settings::Rules;

pub use self::state::MemoryStateStore;
use self::world::World;

/// The building blocks of this component, in a world of their own: each call gives a new and empty one.
///
/// Data belongs to the name of an instance in that world, not to the value that an Init opens, so another Init for the
/// name finds it.
#[must_use]
pub fn blocks() -> Blocks {
    let tables = World::new();
    Blocks::new().state_store_with(Rules::Lenient, move |(): (), instance| {
        let table = tables.of(&instance);
        async move { Ok(MemoryStateStore::new(table)) }
    })
}
