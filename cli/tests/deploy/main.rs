//! The files of deploy/: what must be in them is there, and the commands in them run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod component;
mod compose;
mod files;
mod kubernetes;
mod systemd;
