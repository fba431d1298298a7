//! What must do no harm: programs that are killed or stopped in the middle of their work, and work that goes on for long.
//!
//! `cargo xtask test --soak` does so more often. `-- --nocapture` shows how much was asked and checked.

#![cfg(test)]

#[path = "../cli/host.rs"]
mod host;
mod kill;
mod leaks;
mod limits;
mod load;
mod messages;
#[expect(dead_code, reason = "the tests of verbs use more of it")]
#[path = "../cli/program.rs"]
mod program;
mod served;
mod stop;
