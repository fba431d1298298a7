//! A component's own program: command line, logging, signals and exit codes.
//!
//! ```text
//! redis [OPTIONS]            serves until SIGTERM or SIGINT
//! redis health [OPTIONS]     asks a running one whether it serves
//! ```
//!
//! Exit codes: 0 after a stop, or healthy; 1 for a failure, or not healthy; 2 for a wrong command line; 130 or 143 when a
//! second SIGINT or SIGTERM cut the stop short.

mod arguments;
mod health;
mod logging;
mod signals;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::runtime::{Builder, Handle};

pub use self::arguments::ServeArgs;
pub use self::health::HealthArgs;
pub use self::logging::{LogArgs, LogFormat};
pub use self::signals::{Signal, Signals};
use crate::error::{Error, Result};
use crate::server::{Server, Serving};

const EXAMPLES: &str = "\
Examples:
  {program}                                        serve, where daprd looks by default
  {program} --sockets-folder /run/components       serve elsewhere
  {program} --as mine                              as mine.sock, and the types state.mine and so on
  {program} --http-listen 0.0.0.0:8080             with /livez, /readyz and /metrics
  {program} health --wait 30s                      wait until it is served

Exit codes:
  0    stopped, or healthy
  1    failed, or not healthy
  2    wrong command line
  130  a second SIGINT cut the stop short
  143  a second SIGTERM cut the stop short";

/// Runs servers as a program: reads the command line, serves until a signal comes, stops, and gives the exit code for
/// `main` to return. [`Server::run`] is the same for one.
///
/// It owns its runtimes and cannot be called inside another; [`Server::serve`] can.
pub fn run(servers: impl IntoIterator<Item = Server>) -> ExitCode {
    let servers: Vec<Server> = servers.into_iter().collect();
    if Handle::try_current().is_ok() {
        return fail(
            "`run` was called inside a tokio runtime: call it from a main that is not async, or use `serve`",
        );
    }
    match Arguments::read(&servers) {
        Ok(arguments) => match block_on(arguments.obey(servers)) {
            Ok(code) => code,
            Err(error) => fail(error),
        },
        Err(answer) => {
            // Help and versions, too, come as errors; a closed pipe is no reason for another.
            let _ = answer.print();
            u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

impl Server {
    /// Runs the server as a program, see [`run`].
    #[must_use]
    pub fn run(self) -> ExitCode {
        run([self])
    }
}

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Serve under another name: OTHER.sock, and the types state.OTHER, pubsub.OTHER and so on
    #[arg(
        long = "as",
        value_name = "OTHER",
        env = "PLUGGABLE_AS",
        hide_env_values = true
    )]
    other_name: Option<String>,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask a running component whether it serves
    Health(HealthArgs),
}

impl Arguments {
    fn read(servers: &[Server]) -> Result<Self, clap::Error> {
        let names: Vec<&str> = servers.iter().map(Server::name).collect();
        let names = names.join(", ");
        let own = servers.iter().find_map(Server::own_version);
        let sdk = concat!("dapr-pluggable ", env!("CARGO_PKG_VERSION"));
        let version = own.map_or_else(|| sdk.to_owned(), |own| format!("{own} ({sdk})"));
        let mut command = Self::command()
            .about(format!(
                "Serves the Dapr pluggable component {names} on a Unix socket"
            ))
            .version(version);
        let program = std::env::args_os()
            .next()
            .map(std::path::PathBuf::from)
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or(names);
        command = command
            .after_help(EXAMPLES.replace("{program}", &program))
            .name(program);
        let arguments = Self::from_arg_matches(&command.clone().try_get_matches()?)?;
        if arguments.other_name.is_some() && servers.len() != 1 {
            let text = "--as renames one component, and this program has several";
            return Err(command.error(clap::error::ErrorKind::ArgumentConflict, text));
        }
        Ok(arguments)
    }

    async fn obey(self, mut servers: Vec<Server>) -> Result<ExitCode> {
        if let Some(name) = self.other_name {
            servers = servers
                .into_iter()
                .map(|server| server.renamed(name.clone()))
                .collect();
        }
        if let Some(Verb::Health(health)) = self.verb {
            let names: Vec<&str> = servers.iter().map(Server::name).collect();
            health.run(&names).await?;
            return Ok(ExitCode::SUCCESS);
        }
        self.log.init()?;
        serve(servers.into_iter().map(|server| self.serve.apply(server))).await
    }
}

/// Serves until a signal comes, then stops as it says; a second signal cuts the stop short. For programs with a command
/// line and a runtime of their own.
///
/// # Errors
/// As [`Serving::start`].
pub async fn serve(servers: impl IntoIterator<Item = Server>) -> Result<ExitCode> {
    let mut signals = Signals::install()?;
    let serving = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::info!(%signal, "stopped before the start was complete");
            return Ok(ExitCode::SUCCESS);
        }
        serving = Serving::start(servers) => serving?,
    };
    let signal = signals.next().await;
    tracing::info!(%signal, "stopping; a second signal ends it at once");
    tokio::select! {
        biased;
        second = signals.next() => {
            tracing::warn!(signal = %second, "the stop was cut short");
            Ok(second.exit_code())
        }
        () = serving.stop(signal.stop()) => Ok(ExitCode::SUCCESS),
    }
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("start a runtime: {error}")).with_source(error))?;
    let outcome = runtime.block_on(future);
    // Nothing that still runs on it is worth waiting for.
    runtime.shutdown_background();
    outcome
}

fn fail(why: impl Display) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::FAILURE
}
