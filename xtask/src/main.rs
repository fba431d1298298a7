//! The project's own chores: `cargo xtask --help`.

mod codegen;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the generated code of protocol/ from its .proto files.
    Codegen {
        /// Write nothing; fail when something would change.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Verb::Codegen { check } => codegen::run(check),
    }
}
