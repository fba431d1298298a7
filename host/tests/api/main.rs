//! The HTTP API of a host, asked over real connections.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod connections;
mod gated;
mod harness;
mod health;
mod limits;
mod parity;
mod state;
mod stopping;
