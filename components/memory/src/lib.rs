//! All five of Dapr's building blocks in memory: to develop and test with, and to learn the SDK's traits from.
//!
//! What is here behaves as a component on a real backend should, in as little code as that takes: read
//! [`MemoryStateStore`] for a start. Nothing outlives the process.

mod binding;
mod delivery;
mod pubsub;
mod queue;
mod secret;
mod settings;
mod state;
mod world;

use dapr_pluggable::Blocks;
use dapr_pluggable::settings::Rules;

pub use self::binding::{MemoryInputBinding, MemoryOutputBinding};
pub use self::pubsub::MemoryPubSub;
pub use self::secret::MemorySecretStore;
pub use self::settings::{MemoryPubSubSettings, RedeliverySettings};
pub use self::state::MemoryStateStore;
use self::world::World;

/// The building blocks of this component, in a world of their own: each call gives a new and empty one.
///
/// Data belongs to the name of an instance in that world, not to the value that an Init opens, so another Init for the
/// name finds it.
#[must_use]
pub fn blocks() -> Blocks {
    let (tables, brokers, sources) = (World::new(), World::new(), World::new());
    let targets = sources.clone();
    Blocks::new()
        .state_store_with(Rules::Lenient, move |(), instance| {
            let table = tables.of(&instance);
            async move { Ok(MemoryStateStore::new(table)) }
        })
        .pubsub_with(Rules::Lenient, move |settings, instance| {
            let broker = brokers.of(&instance);
            async move { MemoryPubSub::new(broker, settings, &instance) }
        })
        .input_binding_with(Rules::Lenient, move |settings, instance| {
            let events = sources.of(&instance);
            async move { MemoryInputBinding::new(events, settings) }
        })
        // One resource file is for both bindings, so the settings of the other are no mistake here.
        .output_binding_with(Rules::Lenient, move |_: RedeliverySettings, instance| {
            let events = targets.of(&instance);
            async move { Ok(MemoryOutputBinding::new(events)) }
        })
        .secret_store::<MemorySecretStore>()
}
