//! The sockets folder, watched: who is there, what he has, and when that changes.

mod watch;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::socket::{Found, SocketsFolder};
use dapr_pluggable::{Block, Error, ErrorKind, Result};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tracing::{debug, info, warn};

pub(crate) use self::watch::Watch;

/// How long a socket may take to say what it has.
const ANSWER_CAP: Duration = Duration::from_secs(3);

/// Which of several sockets that had one path it is: a component that starts again makes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    device: u64,
    inode: u64,
    /// Linking and renaming do not change it, and an inode that is used again has another.
    modified: (i64, i64),
}

/// A socket that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answering {
    pub(crate) path: PathBuf,
    pub(crate) generation: Generation,
    pub(crate) blocks: Vec<Block>,
}

/// The sockets of a folder. Each is asked on its own, so that one that does not answer holds up nobody.
#[derive(Debug)]
pub(crate) struct Sockets {
    folder: SocketsFolder,
    seen: BTreeMap<PathBuf, Seen>,
    asking: JoinSet<Answer>,
    scan_failed: bool,
}

#[derive(Debug)]
struct Seen {
    name: String,
    generation: Generation,
    state: State,
    /// Somebody is on the way to it.
    is_asked: bool,
}

#[derive(Debug)]
enum State {
    /// It is no socket.
    Obstacle,
    New,
    Answered(Vec<Block>),
    Failed(String),
}

#[derive(Debug)]
struct Answer {
    path: PathBuf,
    generation: Generation,
    blocks: Result<Vec<Block>>,
}

impl Sockets {
    pub(crate) fn new(folder: SocketsFolder) -> Self {
        Self {
            folder,
            seen: BTreeMap::new(),
            asking: JoinSet::new(),
            scan_failed: false,
        }
    }

    pub(crate) fn folder(&self) -> &SocketsFolder {
        &self.folder
    }

    /// Looks into the folder, and asks those that are new, changed, or did not answer.
    pub(crate) async fn scan(&mut self) {
        let folder = self.folder.clone();
        let listed = spawn_blocking(move || list(&folder)).await;
        let listed = listed.unwrap_or_else(|error| {
            let text = "read the sockets folder: the task ended early";
            Err(Error::internal(text).with_source(error))
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                // Once: it is asked again and again.
                if !self.scan_failed {
                    warn!(%error, "no components are found on sockets");
                }
                self.scan_failed = true;
                return;
            }
        };
        self.scan_failed = false;
        self.seen.retain(|path, _| {
            let stays = listed.iter().any(|(found, _)| found.path() == path);
            if !stays {
                debug!(socket = %path.display(), "the file is gone");
            }
            stays
        });
        for (found, generation) in listed {
            self.see(&found, generation);
        }
    }

    fn see(&mut self, found: &Found, generation: Generation) {
        let path = found.path();
        if let Some(seen) = self.seen.get_mut(path)
            && seen.generation == generation
        {
            // A component binds before it listens.
            if matches!(seen.state, State::Failed(_)) && !seen.is_asked {
                seen.is_asked = true;
                self.asking.spawn(ask(path.to_owned(), generation));
            }
            return;
        }
        let is_asked = found.obstacle().is_none();
        let state = if let Some(obstacle) = found.obstacle() {
            warn!("not used as a component: {} is {obstacle}", path.display());
            State::Obstacle
        } else {
            self.asking.spawn(ask(path.to_owned(), generation));
            State::New
        };
        self.seen.insert(
            path.to_owned(),
            Seen {
                name: found.name().to_owned(),
                generation,
                state,
                is_asked,
            },
        );
    }

    /// Waits until one that was asked has answered, or did not in time. `None` when nobody is being asked.
    pub(crate) async fn next_answer(&mut self) -> Option<()> {
        let answer = match self.asking.join_next().await? {
            Ok(answer) => answer,
            Err(error) => {
                warn!(%error, "cannot ask a socket");
                return Some(());
            }
        };
        let socket = answer.path.display();
        let Some(seen) = self.seen.get_mut(&answer.path) else {
            return Some(());
        };
        if seen.generation != answer.generation {
            return Some(());
        }
        seen.is_asked = false;
        match answer.blocks {
            Ok(blocks) => {
                let types: Vec<String> = blocks
                    .iter()
                    .map(|block| format!("{block} {}.{}", block.category(), seen.name))
                    .collect();
                info!(%socket, "found a component: {}", types.join(", "));
                seen.state = State::Answered(blocks);
            }
            Err(error) => {
                // Told once: it is asked again until it answers.
                if !matches!(seen.state, State::Failed(_)) {
                    warn!(%socket, %error, "the socket does not answer");
                }
                seen.state = State::Failed(error.to_string());
            }
        }
        Some(())
    }

    /// Whether a socket of that name has yet to say what it has.
    pub(crate) fn is_expected(&self, name: &str) -> bool {
        self.named(name)
            .any(|(_, seen)| matches!(seen.state, State::New))
    }

    /// Whether this very socket is still there.
    pub(crate) fn has(&self, socket: &Answering) -> bool {
        let seen = self.seen.get(&socket.path);
        seen.is_some_and(|seen| seen.generation == socket.generation)
    }

    /// A socket of that name that has one of these building blocks.
    pub(crate) fn find(&self, name: &str, blocks: &[Block]) -> Option<Answering> {
        self.named(name).find_map(|(path, seen)| match &seen.state {
            State::Answered(there) if there.iter().any(|block| blocks.contains(block)) => {
                Some(Answering {
                    path: path.to_owned(),
                    generation: seen.generation,
                    blocks: there.clone(),
                })
            }
            _ => None,
        })
    }

    /// Why there is no socket of that name with one of these building blocks.
    pub(crate) fn why_not(&self, name: &str, blocks: &[Block]) -> String {
        let reasons: Vec<String> = self
            .named(name)
            .filter_map(|(path, seen)| {
                let socket = path.display();
                Some(match &seen.state {
                    State::Obstacle => return None,
                    State::New => format!("the socket {socket}, which has not answered yet"),
                    State::Failed(reason) => {
                        format!("the socket {socket}, which does not answer: {reason}")
                    }
                    State::Answered(_) => {
                        let services: Vec<&str> =
                            blocks.iter().map(|block| block.service()).collect();
                        let services = services.join(" or ");
                        format!("the socket {socket}, which has no service {services}")
                    }
                })
            })
            .collect();
        if reasons.is_empty() {
            let folder = self.folder.path().display();
            return format!("the socket {name}.sock in {folder}");
        }
        reasons.join("; ")
    }

    fn named(&self, name: &str) -> impl Iterator<Item = (&Path, &Seen)> {
        self.seen
            .iter()
            .filter(move |(_, seen)| seen.name == name)
            .map(|(path, seen)| (path.as_path(), seen))
    }
}

async fn ask(path: PathBuf, generation: Generation) -> Answer {
    let asking = async { Client::connect(&path).await?.blocks().await };
    let blocks = timeout(ANSWER_CAP, asking).await.unwrap_or_else(|_| {
        let text = format!("no answer within {ANSWER_CAP:?}");
        Err(Error::new(ErrorKind::TimedOut, text))
    });
    Answer {
        path,
        generation,
        blocks,
    }
}

/// The files of the folder, each with its generation.
fn list(folder: &SocketsFolder) -> Result<Vec<(Found, Generation)>> {
    let mut listed = Vec::new();
    for found in folder.scan()? {
        let metadata = match found.path().symlink_metadata() {
            Ok(metadata) => metadata,
            // It went away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let text = format!("look at {}: {error}", found.path().display());
                return Err(Error::internal(text).with_source(error));
            }
        };
        let generation = Generation {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        listed.push((found, generation));
    }
    Ok(listed)
}
