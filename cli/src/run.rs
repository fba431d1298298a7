//! The verb `run`: Dapr's API for an application, on this machine, with no Dapr.

mod announcement;
mod data_folder;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use dapr_pluggable::ErrorKind;
use dapr_pluggable::program::{LogArgs, Signals};
use dapr_pluggable::socket::SocketsFolder;
use dapr_pluggable_host::api::{self, Api};
use dapr_pluggable_host::{Environment, Host, Running};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::announcement::Announcement;
use self::data_folder::DataFolder;
use crate::beside::{Beside, End, Grace};
use crate::catalogue;
use crate::output::OutputArgs;
use crate::progress;

/// Where Dapr's API is, unless something else is there already.
const DEFAULT_PORT: u16 = 3500;

const EXAMPLES: &str = "\
Examples:
  pluggable run                             the state API on a port, with curl lines to try
  pluggable run --app-id shop -- ./shop     with the application beside it: it finds the port in
                                            DAPR_HTTP_PORT, and the run ends with it
  pluggable run --resources-path ./components --dapr-http-port 3501
                                            your own components, at a port of your choice
  pluggable run --data-dir ./data           state and messages in a folder of your choice

Without --resources-path it has two components in this process, `statestore` (state.sqlite)
and `pubsub` (pubsub.sqlite). Their data is in $XDG_DATA_HOME/dapr-pluggable or
~/.local/share/dapr-pluggable; several runs may share it.

Exit codes:
  0    stopped
  1    failed
  2    wrong command line
  126  COMMAND cannot be started
  127  there is no such COMMAND
  130  a second SIGINT cut the stop short
  143  a second SIGTERM cut the stop short
With COMMAND its exit code, or 128 and the number of the signal that ended it.";

/// Run Dapr's API for an application on this machine, with no Dapr
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The application: keys of its state begin with this name
    #[arg(long, value_name = "NAME", default_value = "app", value_parser = app_id)]
    app_id: String,
    /// The port of the HTTP API on loopback; 0 is any free one [default: 3500, or a free one when it is in use]
    #[arg(long, value_name = "PORT")]
    dapr_http_port: Option<u16>,
    /// A folder with resource files (YAML); may be repeated
    #[arg(long, value_name = "DIR", alias = "components-path")]
    resources_path: Vec<PathBuf>,
    /// Where sockets of components are, now or later [default: $DAPR_COMPONENTS_SOCKETS_FOLDER or
    /// /tmp/dapr-components-sockets]
    #[arg(long, value_name = "DIR")]
    sockets_folder: Option<PathBuf>,
    /// The folder for the data of `statestore` and `pubsub` [default: one of your own]
    #[arg(long, value_name = "DIR", conflicts_with = "resources_path")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    grace: Grace,
    /// The application. It is started when the API answers, with APP_ID and DAPR_HTTP_PORT in its environment, and gets
    /// the signals that come; the API is there until it is gone
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    arguments.log.init()?;
    let mut signals = Signals::install()?;
    let (host, data) = arguments.host()?;
    let listener = listen(arguments.dapr_http_port).await?;
    let running = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::info!(%signal, "stopped before the start was complete");
            return Ok(ExitCode::SUCCESS);
        }
        running = progress::shown("opening the components", host.start()) => running?,
    };
    let address = listener.local_addr().context("ask for the port")?;
    let serving = Serving::start(running, listener);
    let components = serving.running.registry().components();
    let announcement = Announcement::new(&arguments.app_id, address, data, &components);
    let end = match announcement.print(arguments.output.output) {
        Ok(()) => arguments.wait(&serving, address, &mut signals).await,
        Err(error) => Err(error),
    };
    match end {
        Ok(end) => Ok(end.stop(&mut signals, async |_| serving.stop().await).await),
        Err(error) => {
            serving.stop().await;
            Err(error)
        }
    }
}

impl Arguments {
    /// The host, and where its data is when it has components of its own.
    fn host(&self) -> Result<(Host, Option<PathBuf>)> {
        let sockets = SocketsFolder::find(self.sockets_folder.as_deref());
        let mut host = Host::new(&self.app_id)
            .sockets_folder(sockets)
            .catalogue(catalogue::for_host())
            .environment(Environment::of_process());
        for folder in &self.resources_path {
            host = host.resources_path(folder);
        }
        if !self.resources_path.is_empty() {
            return Ok((host, None));
        }
        let folder = DataFolder::create(self.data_dir.as_deref())?;
        for component in folder.components()? {
            host = host.component(component);
        }
        Ok((host, Some(folder.into_path())))
    }

    /// Waits for what ends the run: the end of COMMAND, a signal, the application that asks for it.
    async fn wait(
        &self,
        serving: &Serving,
        address: SocketAddr,
        signals: &mut Signals,
    ) -> Result<End> {
        let asked = serving.running.shutdown().cancelled();
        let Some((command, words)) = self.command.split_first() else {
            let signal = tokio::select! {
                signal = signals.next() => {
                    tracing::info!(%signal, "stopping");
                    Some(signal)
                }
                () = asked => {
                    tracing::info!("stopping, as the application asks for");
                    None
                }
            };
            let code = ExitCode::SUCCESS;
            return Ok(End::Ended { code, signal });
        };
        let environment = [
            ("APP_ID", OsString::from(&self.app_id)),
            ("DAPR_HTTP_PORT", address.port().to_string().into()),
        ];
        let beside = Beside::new(command, words, self.grace).start(environment)?;
        beside.watch(signals, asked).await
    }
}

/// A host and its API.
struct Serving {
    running: Running,
    api: JoinHandle<()>,
}

impl Serving {
    fn start(running: Running, listener: TcpListener) -> Self {
        let api = Api::new(
            running.app_id(),
            Arc::clone(running.registry()),
            running.readiness().clone(),
            running.shutdown().clone(),
        );
        Self {
            api: tokio::spawn(api.serve(listener)),
            running,
        }
    }

    /// Lets calls in flight finish, then closes the components.
    async fn stop(self) {
        self.running.readiness().set_stopping();
        self.running.shutdown().cancel();
        if let Err(error) = self.api.await {
            tracing::warn!(%error, "the API ended early");
        }
        self.running.stop().await;
    }
}

/// Listens at the port that was asked for; without one at Dapr's, or at a free one when that is in use.
async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => {
            let bound = api::bind(at(port)).await;
            bound.context("use the port of --dapr-http-port")
        }
        None => match api::bind(at(DEFAULT_PORT)).await {
            Err(error) if *error.kind() == ErrorKind::InvalidSettings => {
                tracing::info!("port {DEFAULT_PORT} is in use: taking a free one");
                Ok(api::bind(at(0)).await?)
            }
            bound => Ok(bound?),
        },
    }
}

/// What Dapr lets an application be called; with `||` keys would lose their prefix.
fn app_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('.') || text.contains("||") {
        return Err("expected a name without '.' and '||'".to_owned());
    }
    Ok(text.to_owned())
}
