//! A look at one file of a sockets folder, with the eyes of a runtime. Nothing is changed, no Init is sent.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::socket::{check_path, replaces_builtin, runtime_name};
use dapr_pluggable::{Block, Error, ErrorKind};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::finding::{Finding, Id, Process};
use super::users::{User, group_name, user_name};

/// How often reflection is asked for the latency; the median counts.
const SAMPLES: usize = 5;

/// How to look.
#[derive(Debug)]
pub(crate) struct Look {
    /// How long each file may take.
    pub(crate) cap: Duration,
    /// The user that the runtime runs as.
    pub(crate) user: User,
    /// Whether the file was asked for by name: then it must be a socket.
    pub(crate) is_explicit: bool,
}

impl Look {
    /// Looks at a file; `None` for one that a runtime passes over without a word.
    pub(crate) async fn at(&self, path: PathBuf) -> Option<Finding> {
        let file = path.file_name().map(|name| name.to_string_lossy());
        let mut finding = Finding {
            name: runtime_name(&file.unwrap_or_default()),
            path,
            ..Finding::default()
        };
        match self.file(&mut finding) {
            File::Skip => return None,
            File::Bad => return Some(finding),
            File::Socket => {}
        }
        if self.connect(&mut finding).await {
            self.ask(&mut finding).await;
        }
        Some(finding)
    }

    /// What the file system says.
    fn file(&self, finding: &mut Finding) -> File {
        let path = finding.path.clone();
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // It went between the look at the folder and this one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_explicit => {
                return File::Skip;
            }
            Err(error) => {
                finding.error("unreadable", format!("cannot look at it: {error}"));
                return File::Bad;
            }
        };
        let kind = metadata.file_type();
        if kind.is_dir() && !self.is_explicit {
            return File::Skip;
        }
        finding.mode = Some(format!("{:04o}", metadata.mode() & 0o7777));
        finding.owner = Some(Id {
            id: metadata.uid(),
            name: user_name(metadata.uid()),
        });
        finding.group = Some(Id {
            id: metadata.gid(),
            name: group_name(metadata.gid()),
        });
        if kind.is_symlink() {
            finding.error(
                "symlink",
                "a symbolic link: daprd skips it; serve the component under this name instead (--as)",
            );
            return File::Bad;
        }
        if !kind.is_socket() {
            let text = "not a socket: daprd skips it";
            if self.is_explicit {
                finding.error("not-a-socket", text);
            } else {
                finding.warning("not-a-socket", text);
            }
            return File::Bad;
        }
        if let Err(error) = check_path(&path) {
            finding.error("path-too-long", error.to_string());
            return File::Bad;
        }
        self.access(finding, &metadata);
        File::Socket
    }

    /// Whether the runtime's user gets at the socket.
    fn access(&self, finding: &mut Finding, metadata: &fs::Metadata) {
        let user = self.user.id;
        let user =
            user_name(user).map_or_else(|| user.to_string(), |name| format!("{name} ({user})"));
        let path = finding.path.clone();
        if let Some(folder) = self.user.shut_out_by(&path) {
            let folder = folder.display();
            finding.error(
                "forbidden",
                format!(
                    "user {user} may not pass through {folder}: a daprd of that user never sees it"
                ),
            );
        } else if !self
            .user
            .may_write(metadata.uid(), metadata.gid(), metadata.mode())
        {
            finding.error(
                "forbidden",
                format!("user {user} may not connect: a daprd of that user would hang here at its start; serve with another --socket-mode or --socket-group"),
            );
        }
    }

    /// Whether somebody listens.
    async fn connect(&self, finding: &mut Finding) -> bool {
        let error = match timeout(self.cap, UnixStream::connect(&finding.path)).await {
            Ok(Ok(stream)) => {
                let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
                finding.process = pid.filter(|pid| *pid != 0).map(|pid| Process {
                    pid,
                    name: process_name(pid),
                });
                return true;
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        match error.kind() {
            io::ErrorKind::ConnectionRefused => finding.error(
                "stale",
                "stale: nobody listens, its process is gone; daprd would hang here at its start: start the component again, or remove the file",
            ),
            io::ErrorKind::PermissionDenied => {
                if !finding.problems.iter().any(|problem| problem.code == "forbidden") {
                    finding.error("forbidden", "this user may not connect: look as another");
                }
            }
            _ => finding.error(
                "unreachable",
                format!("no connection ({error}): daprd would hang here at its start"),
            ),
        }
        false
    }

    /// What a runtime asks at its start.
    async fn ask(&self, finding: &mut Finding) {
        match timeout(self.cap, reflect(&finding.path)).await {
            Ok(Ok((services, latency))) => {
                finding.latency_us = u64::try_from(latency.as_micros()).ok();
                name(finding, services);
            }
            Ok(Err(error)) if *error.kind() == ErrorKind::Unsupported => finding.error(
                "no-reflection",
                "no reflection v1alpha: daprd gives up looking, and finds no component in this folder at all",
            ),
            Ok(Err(error)) if *error.kind() != ErrorKind::TimedOut => finding.error(
                "no-answer",
                format!("it takes connections, but does not answer as gRPC does ({error})"),
            ),
            Ok(Err(_)) | Err(_) => finding.error(
                "unreachable",
                format!("no answer within {:?}: daprd would hang here at its start", self.cap),
            ),
        }
    }
}

enum File {
    /// Nothing that a runtime looks at.
    Skip,
    /// No socket that can be connected to.
    Bad,
    Socket,
}

async fn reflect(socket: &Path) -> Result<(BTreeSet<String>, Duration), Error> {
    let client = Client::connect(socket).await?;
    let mut services = client.services().await?;
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        services = client.services().await?;
        samples.push(start.elapsed());
    }
    samples.sort_unstable();
    let median = samples.get(SAMPLES / 2).copied().unwrap_or_default();
    Ok((services, median))
}

/// What the services mean for a runtime.
fn name(finding: &mut Finding, services: BTreeSet<String>) {
    let blocks: Vec<Block> = Block::ALL
        .into_iter()
        .filter(|block| services.contains(block.service()))
        .collect();
    let type_of = |block: &Block| format!("{}.{}", block.category(), finding.name);
    let types: BTreeSet<String> = blocks.iter().map(type_of).collect();
    let replaced: BTreeSet<String> = blocks
        .iter()
        .filter(|block| replaces_builtin(**block, &finding.name))
        .map(type_of)
        .collect();
    if blocks.is_empty() {
        finding.error(
            "no-building-block",
            "it has no building block: no runtime uses it",
        );
    }
    if !replaced.is_empty() {
        let replaced: Vec<String> = replaced.into_iter().collect();
        finding.warning(
            "replaces-builtin",
            format!(
                "{} of this name replaces what daprd has built in, silently, for every daprd that starts with this folder",
                replaced.join(", ")
            ),
        );
    }
    finding.types = types.into_iter().collect();
    finding.blocks = blocks.into_iter().map(Block::as_str).collect();
    finding.services = services.into_iter().collect();
}

fn process_name(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
