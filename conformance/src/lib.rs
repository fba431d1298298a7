//! What every Dapr pluggable component must show, written once against the SDK's traits.
//!
//! The same checks run on a component in the same process and behind a socket: what fails there and not here, or here and
//! not there, points at the wire. A component runs them in its own tests, by what its `component.toml` says of it (feature
//! `trials`).

mod binding;
mod check;
mod expect;
mod fixture;
mod lifecycle;
mod plan;
mod pubsub;
mod runner;
mod secret;
mod state;
mod subject;
#[cfg(feature = "trials")]
pub mod trials;

pub use self::check::{Check, Need, Outcome};
pub use self::plan::{BadSetting, Data, Deviation, Plan, Setup};
pub use self::runner::{Report, run, run_one};
pub use self::subject::Subject;

/// Every check.
#[must_use]
pub fn catalogue() -> Vec<Check> {
    [
        lifecycle::checks(),
        state::checks(),
        pubsub::checks(),
        binding::checks(),
        secret::checks(),
    ]
    .concat()
}
