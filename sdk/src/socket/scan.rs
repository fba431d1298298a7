//! What lies in the sockets folder, seen as a runtime sees it.

use std::fmt;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::{SocketsFolder, runtime_name};
use crate::error::{Error, ErrorKind, Result};

/// A file in the sockets folder. One without [`obstacle`](Self::obstacle) is a component to a runtime, if somebody
/// answers there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    path: PathBuf,
    name: String,
    obstacle: Option<Obstacle>,
}

impl Found {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a runtime calls it, see [`runtime_name`]: `redis` of `state.redis`. Two files may have one name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why a runtime passes over it with a warning; `None` for a socket.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle
    }
}

/// Why a runtime passes over a file.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It is a symbolic link, which runtimes do not follow, whatever it leads to.
    Symlink,
    /// It is something else than a socket.
    NotASocket,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symlink => "a symbolic link, which runtimes do not follow",
            Self::NotASocket => "no socket",
        })
    }
}

impl SocketsFolder {
    /// The files in the folder, in the order of their paths. Folders in it are left out, as runtimes do without a word;
    /// a folder that is not there has no files. Nobody is asked whether he answers.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) when the folder may not be read, [`InvalidSettings`](ErrorKind::InvalidSettings) when
    /// it is none, [`Internal`](ErrorKind::Internal) for whatever else the system says.
    pub fn scan(&self) -> Result<Vec<Found>> {
        let fail = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                io::ErrorKind::NotADirectory => ErrorKind::InvalidSettings,
                _ => ErrorKind::Internal,
            };
            let folder = self.path().display();
            let text = format!("read the sockets folder {folder}: {error}");
            Error::new(kind, text).with_source(error)
        };
        let entries = match fs::read_dir(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let kind = match entry.file_type() {
                // It went away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                kind => kind.map_err(fail)?,
            };
            if !kind.is_dir() {
                found.push(Found {
                    name: runtime_name(&entry.file_name().to_string_lossy()),
                    path: entry.path(),
                    obstacle: obstacle(kind),
                });
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn obstacle(kind: FileType) -> Option<Obstacle> {
    if kind.is_symlink() {
        Some(Obstacle::Symlink)
    } else if kind.is_socket() {
        None
    } else {
        Some(Obstacle::NotASocket)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_found_by_the_runtimes_names_and_the_rest_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let _listeners =
            ["b.sock", "Redis.V2.sock"].map(|name| UnixListener::bind(path(name)).unwrap());
        symlink(path("b.sock"), path("c.sock")).unwrap();
        symlink(folder.path(), path("d")).unwrap();
        fs::write(path("notes.txt"), "").unwrap();
        fs::create_dir(path("deep.sock")).unwrap();
        let found = SocketsFolder::find(Some(folder.path())).scan().unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|found| (found.name(), found.path().to_owned(), found.obstacle()))
            .collect();
        assert_eq!(
            seen,
            [
                ("redis.v2", path("Redis.V2.sock"), None),
                ("b", path("b.sock"), None),
                ("c", path("c.sock"), Some(Obstacle::Symlink)),
                ("d", path("d"), Some(Obstacle::Symlink)),
                ("notes", path("notes.txt"), Some(Obstacle::NotASocket)),
            ]
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty_and_a_file_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let scan = |path: &Path| SocketsFolder::find(Some(path)).scan();
        assert_eq!(scan(&folder.path().join("none")).unwrap(), []);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = scan(&file).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
        assert!(
            error.to_string().contains(&*file.to_string_lossy()),
            "{error}"
        );
    }
}
