//! The servers that are compared, each a process of its own.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use dapr_pluggable_testbed::{Peer, Process, eventually};
use tokio::net::UnixStream;

/// Who is measured.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    /// A component of `pluggable serve`.
    Pluggable(&'static str),
    /// tonic's own server on the default runtime.
    Tonic,
    /// grpc-go.
    Go(Peer),
    /// grpc-go on go-redis.
    GoRedis(Peer),
}

impl Server {
    pub(crate) fn folder(&self) -> &'static str {
        match self {
            Self::Pluggable(component) => component,
            Self::Tonic => "tonic",
            Self::Go(_) => "go",
            Self::GoRedis(_) => "go-redis",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Pluggable(component) => format!("serve {component}"),
            Self::Tonic => "tonic".to_owned(),
            Self::Go(_) => "grpc-go".to_owned(),
            Self::GoRedis(_) => "go-redis".to_owned(),
        }
    }

    fn command(&self, folder: &Path, socket: &Path) -> Result<tokio::process::Command> {
        let mut command = match self {
            Self::Pluggable(component) => {
                let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pluggable"));
                command
                    .args(["serve", component, "--sockets-folder"])
                    .arg(folder);
                command
            }
            Self::Tonic => {
                let own = env::current_exe().context("find this program")?;
                let mut command = tokio::process::Command::new(own);
                command.arg("tonic").arg(socket);
                command
            }
            Self::Go(peer) | Self::GoRedis(peer) => {
                let verb = match self {
                    Self::GoRedis(_) => "redis",
                    _ => "serve",
                };
                let mut command = peer.command([verb, "--socket"]);
                command.arg(socket);
                command
            }
        };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
    pub(crate) process: Process,
    /// What `pluggable bench` opens it with.
    pub(crate) metadata: Vec<String>,
}

impl Running {
    pub(crate) async fn start(server: &Server, folder: &Path) -> Result<Self> {
        // An earlier server may have left its socket behind.
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", folder.display()));
            }
            _ => {}
        }
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let socket = folder.join(format!("{}.sock", server.folder()));
        let metadata = match server {
            Server::Pluggable("sqlite") => {
                let file = folder.join("data.db");
                vec![format!("--metadata=connectionString={}", file.display())]
            }
            _ => Vec::new(),
        };
        let process = Process::spawn(&mut server.command(folder, &socket)?);
        eventually("a server listens", async || {
            UnixStream::connect(&socket).await.is_ok()
        })
        .await;
        Ok(Self {
            name: server.name(),
            socket,
            process,
            metadata,
        })
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        let name = &self.name;
        let status = self.process.stop().await;
        if !status.success() && name != "tonic" {
            bail!("{name} ended with {status}");
        }
        Ok(())
    }
}
