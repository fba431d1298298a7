//! The project's own chores: `cargo xtask --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to people"
)]

mod advisories;
mod codegen;
mod command;
mod debian;
mod deny;
mod docs;
mod go;
mod lint;
mod python;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
///
/// `cargo xtask lint` and `cargo xtask test` are what continuous integration runs; both install what they miss where
/// they can, and name the step that failed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the generated code of protocol/ and testbed/peers/go from the .proto files.
    ///
    /// Needed after a change to a .proto file; protoc is not. The Go code is left out where there is no Go, which with CI
    /// set is a failure.
    Codegen {
        /// Write nothing; fail when something would change.
        #[arg(long)]
        check: bool,
    },
    /// Check everything that needs no test: format, clippy, docs, generated files, house rules, licences.
    ///
    /// Every step runs, also after one that failed; the failed ones are named at the end. The first run installs
    /// cargo-deny into target/tools, which takes some minutes.
    Lint,
    /// Run every test, doctests and examples included, and say what was skipped and why.
    ///
    /// With CI set in the environment a test that would skip because a server or program is missing fails instead.
    Test {
        /// Run long: more cases of every property, more rounds of every kill.
        #[arg(long)]
        soak: bool,
        /// What is handed on to `cargo test`, such as `-- --nocapture` or `-p dapr-pluggable`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the house rules that a machine can check: arrows between crates, names, lengths, links.
    Tidy,
    /// Write the tables of metadata in the components' README files, from the doc comments of their settings.
    Docs {
        /// Write nothing; fail when something would change.
        #[arg(long)]
        check: bool,
    },
    /// Look for known vulnerabilities in the dependencies. Fetches the RustSec database, so it is no part of lint.
    Advisories,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Codegen { check } => codegen::run(check),
        Verb::Lint => lint::run(),
        Verb::Test { soak, arguments } => test::run(soak, &arguments),
        Verb::Tidy => tidy::run(),
        Verb::Docs { check } => docs::run(check),
        Verb::Advisories => advisories::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
