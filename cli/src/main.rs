//! The program `pluggable`: runs, serves, inspects, calls and measures Dapr pluggable components.
//!
//! One file a verb; what several verbs need has a file of its own: the [`catalogue`] of ready-made components,
//! [`beside`] for the COMMAND that runs beside what a verb serves, and [`exit`] for the codes that a verb ends with.

mod bench;
mod beside;
mod call;
mod catalogue;
mod exit;
mod health;
mod inspect;
mod output;
mod progress;
mod run;
mod serve;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

/// Dapr pluggable components: run them without Dapr, serve them to Dapr, look at them
#[derive(Debug, Parser)]
#[command(name = "pluggable", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Arguments),
    Serve(serve::Arguments),
    Inspect(inspect::Arguments),
    Call(call::Arguments),
    Bench(bench::Arguments),
    Health(health::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  pluggable run                             Dapr's state API on this machine, with no Dapr
  pluggable serve memory                    serve a component where daprd looks for it
  pluggable inspect                         what daprd finds there
  pluggable call --socket /tmp/dapr-components-sockets/memory.sock --init state set greeting hello
  pluggable bench --socket /tmp/dapr-components-sockets/memory.sock
                                            how fast it is
  pluggable health --wait 30s memory        wait until it answers

Exit codes:
  0    done
  1    failed
  2    wrong command line
Each verb says in its own help what others it has.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(&anyhow::Error::new(error).context("start a runtime")),
    };
    let outcome = runtime.block_on(async {
        match arguments.verb {
            Verb::Run(arguments) => run::run(arguments).await,
            Verb::Serve(arguments) => serve::run(arguments).await,
            Verb::Inspect(arguments) => inspect::run(arguments).await,
            Verb::Call(arguments) => call::run(arguments).await,
            Verb::Bench(arguments) => bench::run(arguments).await,
            Verb::Health(arguments) => health::run(arguments).await,
        }
    });
    // Nothing that still runs on it is worth waiting for: a read of a terminal, say, has no end.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| exit::fail(&error))
}
