//! The component on real Redis servers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod connection;
mod golden;
mod program;
mod pubsub;
mod state;
