//! The verb `serve`: ready-made components on sockets, for a Dapr runtime.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::pending;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dapr_pluggable::program::{self, LogArgs, ServeArgs, Signals};
use dapr_pluggable::socket::FOLDER_VARIABLES;
use dapr_pluggable::{Server, Serving, Stop};

use crate::beside::{Beside, Grace};
use crate::catalogue;
use crate::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  pluggable serve memory                    type state.memory, pubsub.memory, … for daprd
  pluggable serve memory sqlite             two components, two sockets
  pluggable serve redis                     in place of daprd's own state.redis and pubsub.redis
  pluggable serve sqlite --as sqlite-local  type state.sqlite-local: daprd's own state.sqlite stays
  pluggable serve memory --http-listen 8080 with /livez, /readyz and /metrics
  pluggable serve memory -- daprd --app-id shop --resources-path ./components
                                            starts daprd when the component answers, ends with it

Exit codes:
  0    stopped
  1    failed
  2    wrong command line
  126  COMMAND cannot be started
  127  there is no such COMMAND
  130  a second SIGINT cut the stop short
  143  a second SIGTERM cut the stop short
With COMMAND its exit code, or 128 and the number of the signal that ended it.";

/// Serve ready-made components on sockets, where a Dapr runtime finds them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The components: each NAME makes NAME.sock, and the types state.NAME, pubsub.NAME and so on
    #[arg(
        value_name = "NAME",
        required = true,
        value_parser = PossibleValuesParser::new(catalogue::names())
    )]
    names: Vec<String>,
    /// Serve the (one) component under another name: OTHER.sock, state.OTHER
    #[arg(long = "as", value_name = "OTHER")]
    other_name: Option<String>,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    grace: Grace,
    /// Start this when the components answer, and end when it ends. It gets the sockets folder in
    /// DAPR_COMPONENTS_SOCKETS_FOLDER and the signals that come; the components are served until it is gone
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let servers = arguments.servers()?;
    arguments.log.init()?;
    match arguments.command.split_first() {
        None => Ok(program::serve(servers).await?),
        Some((command, words)) => {
            let beside = Beside::new(command, words, arguments.grace);
            serve_beside(servers, beside).await
        }
    }
}

impl Arguments {
    fn servers(&self) -> Result<Vec<Server>> {
        if self.other_name.is_some() && self.names.len() > 1 {
            let text = "--as renames one component: give one NAME with it";
            return Err(Failure::usage(text).into());
        }
        let mut seen = BTreeSet::new();
        let mut servers = Vec::new();
        for name in &self.names {
            if !seen.insert(name) {
                let text = format!("the component {name:?} is named twice");
                return Err(Failure::usage(text).into());
            }
            let blocks = catalogue::blocks(name)
                .ok_or_else(|| Failure::usage(format!("there is no component {name:?}")))?;
            let socket = self.other_name.as_ref().unwrap_or(name);
            servers.push(self.serve.apply(Server::new(socket).blocks(blocks)));
        }
        Ok(servers)
    }
}

/// Serves, runs the command, and stops serving when it has ended.
async fn serve_beside(servers: Vec<Server>, beside: Beside) -> Result<ExitCode> {
    let mut signals = Signals::install()?;
    let serving = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::info!(%signal, "stopped before the start was complete");
            return Ok(ExitCode::SUCCESS);
        }
        serving = Serving::start(servers) => serving?,
    };
    let folder = serving.sockets().next().and_then(Path::parent);
    let folder = folder.map(|folder| (FOLDER_VARIABLES[0], folder.as_os_str().to_owned()));
    let running = match beside.start(folder) {
        Ok(running) => running,
        Err(failure) => {
            serving.stop(Stop::Drain).await;
            return Err(failure);
        }
    };
    let end = running.watch(&mut signals, pending()).await?;
    // Dropping what serves removes the sockets.
    Ok(end
        .stop(&mut signals, async |stop| serving.stop(stop).await)
        .await)
}
