//! The verb `health`: asks a socket whether its component serves.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep, timeout_at};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::arguments::duration;
use crate::dial::dial;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::{SocketName, SocketsFolder, check_path};

/// How long one look may take.
const ANSWER_CAP: Duration = Duration::from_secs(5);
/// The pause between looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Whom to ask, and for how long.
#[derive(Args, Clone, Debug, Default)]
pub struct HealthArgs {
    /// The component, as it is served: redis for redis.sock
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The socket to ask instead
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    socket: Option<PathBuf>,
    /// Folder of the socket [default: $DAPR_COMPONENTS_SOCKETS_FOLDER or /tmp/dapr-components-sockets]
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    sockets_folder: Option<PathBuf>,
    /// The gRPC service to ask about, such as dapr.proto.components.v1.StateStore [default: the whole component]
    #[arg(
        long,
        value_name = "SERVICE",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
    /// Wait so long for it to serve, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
}

impl HealthArgs {
    /// Asks, and says on standard output who serves. Without a name or a file on the command line, it asks those of the
    /// program.
    ///
    /// # Errors
    /// Why one does not serve: [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied);
    /// [`NotFound`](ErrorKind::NotFound) for an unknown service; [`InvalidRequest`](ErrorKind::InvalidRequest) where there
    /// is nobody to ask.
    pub async fn run(&self, names: &[&str]) -> Result<()> {
        let until = self.wait.map(|wait| Instant::now() + wait);
        for socket in self.sockets(names)? {
            self.ask(&socket, until).await?;
            let line = format!("{} is served", socket.display());
            // The exit code says it as well; nobody may be reading.
            let _ = writeln!(io::stdout(), "{line}");
        }
        Ok(())
    }

    fn sockets(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        if let Some(socket) = &self.socket {
            check_path(socket)?;
            return Ok(vec![socket.clone()]);
        }
        let given = self.name.as_deref();
        let names = given.as_ref().map_or(names, std::slice::from_ref);
        if names.is_empty() {
            return Err(Error::invalid_request(
                "no component to ask: give a NAME or --socket FILE",
            ));
        }
        let folder = SocketsFolder::find(self.sockets_folder.as_deref());
        names
            .iter()
            .map(|name| SocketName::parse(name)?.path_in(folder.path()))
            .collect()
    }

    /// Asks until it serves or time is up; at least once.
    async fn ask(&self, socket: &Path, until: Option<Instant>) -> Result<()> {
        loop {
            let cap = Instant::now() + ANSWER_CAP;
            let look = timeout_at(cap, self.look(socket)).await;
            let error = match look {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => Error::new(
                    ErrorKind::Unavailable,
                    format!("{}: no answer within {ANSWER_CAP:?}", socket.display()),
                ),
            };
            if until.is_none_or(|until| Instant::now() + PAUSE >= until) {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, socket: &Path) -> Result<()> {
        let request = HealthCheckRequest {
            service: self.service.clone(),
        };
        let answer = HealthClient::new(dial(socket).await?).check(request).await;
        let (socket, service) = (socket.display(), &self.service);
        let status = answer.map_err(|status| match status.code() {
            tonic::Code::NotFound => Error::new(
                ErrorKind::NotFound,
                format!("{socket} does not know the service {service:?}"),
            ),
            tonic::Code::Unimplemented => Error::new(
                ErrorKind::Unavailable,
                format!("{socket} answers, but has no health service"),
            ),
            _ => Error::new(ErrorKind::Unavailable, format!("{socket}: {status}")),
        })?;
        match status.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(Error::new(
                ErrorKind::Unavailable,
                format!("{socket} answers {}", other.as_str_name()),
            )),
        }
    }
}
