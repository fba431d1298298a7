//! The component on real files, beside the plain `sqlite3` program.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod failures;
mod folder;
mod full_disk;
mod lock;
mod processes;
mod program;
mod pubsub;
mod query;
mod state;
