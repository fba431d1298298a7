//! How a socket comes into the folder and goes again.
//!
//! It is bound in a temporary sub-folder that nobody else may enter, gets its mode and group there, and is published by
//! a hard link: it appears whole or not at all, and `link` never replaces what has the name already. All of our
//! processes take a lock on the folder while they look at what is in the way, so of two starters one wins.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    self as sys, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat,
};
use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::access::{Access, own_user};
use crate::error::{Error, ErrorKind, Result};
use crate::socket::SocketName;

/// What the temporary sub-folders are called. Runtimes pass over folders.
const STAGING_PREFIX: &str = ".publish-";
/// The socket in its sub-folder.
const STAGED: &str = "s";
/// What is taken out of the way, in the sub-folder.
const REMOVED: &str = "old";
/// Others hold the lock for some hundred milliseconds at most.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// A socket refuses between its owner's `bind` and `listen` too: it is stale when it refuses twice.
const SECOND_LOOK: Duration = Duration::from_millis(50);
/// How often the name may be taken anew by programs that know nothing of the lock.
const ATTEMPTS: usize = 5;

/// A socket that listens where nobody sees it yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Staged {
    folder: Folder,
    staging: Staging,
    file_name: String,
    path: PathBuf,
    identity: Identity,
}

impl Staged {
    /// Binds the socket of a component, in the folder, which is there.
    pub(crate) async fn bind(
        folder: &Path,
        name: &SocketName,
        access: Access,
    ) -> Result<(UnixListener, Self)> {
        let path = name.path_in(folder)?;
        let folder = Folder::open(folder)?;
        let staging = {
            let _lock = folder.lock().await?;
            folder.remove_leftovers();
            Staging::create(&folder)?
        };
        let address = staging.socket();
        let fail = |error: io::Error| {
            fail_with(
                &error,
                format!("bind the socket of {name} at {}", address.display()),
            )
        };
        let listener = UnixListener::bind(&address).map_err(fail)?;
        if let Some(group) = access.group {
            sys::chownat(
                &staging.fd,
                STAGED,
                None,
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(|error| {
                let group = group.as_raw();
                fail_with(
                    &error.into(),
                    format!("give the socket of {name} to group {group}"),
                )
            })?;
        }
        let mode = Mode::from_raw_mode(access.mode);
        sys::chmodat(&staging.fd, STAGED, mode, AtFlags::empty()).map_err(|error| {
            fail_with(
                &error.into(),
                format!("set the mode of the socket of {name}"),
            )
        })?;
        let stat = sys::statat(&staging.fd, STAGED, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| fail(error.into()))?;
        let staged = Self {
            folder,
            staging,
            file_name: name.file_name(),
            path,
            identity: Identity::of(&stat),
        };
        Ok((listener, staged))
    }

    /// Where the socket can be reached before it is published, by this process.
    pub(crate) fn address(&self) -> PathBuf {
        self.staging.socket()
    }

    /// Lets everybody see it.
    pub(crate) async fn publish(self) -> Result<Published> {
        let _lock = self.folder.lock().await?;
        for _ in 0..ATTEMPTS {
            let linked = sys::linkat(
                &self.staging.fd,
                STAGED,
                &self.folder.fd,
                &*self.file_name,
                AtFlags::empty(),
            );
            match linked {
                Ok(()) => {
                    return Ok(Published {
                        folder: self.folder.share()?,
                        file_name: self.file_name.clone(),
                        path: self.path.clone(),
                        identity: self.identity,
                    });
                }
                Err(Errno::EXIST) => self.clear_the_way().await?,
                Err(error) => {
                    let what = format!("publish the socket {}", self.path.display());
                    return Err(fail_with(&error.into(), what));
                }
            }
        }
        Err(self.taken("is taken again and again by another program"))
    }

    /// Removes what has our name if it is a socket that nobody listens on.
    async fn clear_the_way(&self) -> Result<()> {
        let Some(identity) = self.judge().await? else {
            return Ok(());
        };
        sleep(SECOND_LOOK).await;
        if self.judge().await? != Some(identity) {
            return Ok(());
        }
        // Taken out by renaming and looked at again: what came in its place since goes back unharmed.
        let (folder, staging) = (&self.folder.fd, &self.staging.fd);
        match sys::renameat(folder, &*self.file_name, staging, REMOVED) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => {
                let what = format!("remove the stale socket {}", self.path.display());
                return Err(fail_with(&error.into(), what));
            }
        }
        if Identity::at(staging, REMOVED) == Some(identity) {
            tracing::info!(path = %self.path.display(), "removed a stale socket");
            return Ok(());
        }
        let back = sys::renameat_with(
            staging,
            REMOVED,
            folder,
            &*self.file_name,
            RenameFlags::NOREPLACE,
        );
        back.map_err(|error| {
            fail_with(
                &error.into(),
                format!("put {} back in its place", self.path.display()),
            )
        })
    }

    /// Looks at what has our name: the identity of a stale socket, `None` when it is gone, an error for what must stay.
    async fn judge(&self) -> Result<Option<Identity>> {
        let stat = match sys::statat(&self.folder.fd, &*self.file_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                let what = format!("look at {}", self.path.display());
                return Err(fail_with(&error.into(), what));
            }
        };
        if !FileType::from_raw_mode(stat.st_mode).is_socket() {
            return Err(self.taken("is in the way and is not a socket: move it elsewhere"));
        }
        let address = reach(&self.folder.fd, &self.folder.path, &self.file_name);
        match UnixStream::connect(&address).await.err() {
            Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Ok(Some(Identity::of(&stat)))
            }
            Some(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Some(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(self.taken(
                "is in the way and belongs to another user: whether it is served cannot be told",
            )),
            // A full queue, a socket of another type: somebody lives there.
            _ => Err(self.taken("is already served")),
        }
    }

    fn taken(&self, why: &str) -> Error {
        let text = format!("the socket {} {why}", self.path.display());
        Error::new(ErrorKind::Unavailable, text)
    }
}

/// A socket that everybody sees. Dropped, it is removed if it is still the one that was published.
#[derive(Debug)]
pub(crate) struct Published {
    folder: Folder,
    file_name: String,
    path: PathBuf,
    identity: Identity,
}

impl Published {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // Somebody may have put another file there; our own inode cannot be reused while the listener lives.
        if Identity::at(&self.folder.fd, &self.file_name) != Some(self.identity) {
            tracing::warn!(path = %self.path.display(), "the socket is not ours any more and was left alone");
            return;
        }
        if let Err(error) = sys::unlinkat(&self.folder.fd, &*self.file_name, AtFlags::empty()) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove the socket");
        }
    }
}

/// The open sockets folder.
#[derive(Debug)]
struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let fd = open_folder(sys::CWD, path).map_err(|error| {
            fail_with(
                &error.into(),
                format!("open the sockets folder {}", path.display()),
            )
        })?;
        let path = path.to_owned();
        Ok(Self { fd, path })
    }

    fn share(&self) -> Result<Self> {
        let fd = self.fd.try_clone().map_err(|error| {
            fail_with(
                &error,
                format!("keep the sockets folder {}", self.path.display()),
            )
        })?;
        let path = self.path.clone();
        Ok(Self { fd, path })
    }

    /// Keeps our other processes from publishing, removing and cleaning up; until it is dropped.
    async fn lock(&self) -> Result<OwnedFd> {
        let fail = |error: Errno| {
            fail_with(
                &error.into(),
                format!("lock the sockets folder {}", self.path.display()),
            )
        };
        let fd = open_folder(&self.fd, Path::new(".")).map_err(fail)?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match sys::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(fd),
                Err(Errno::WOULDBLOCK) if Instant::now() < until => sleep(LOCK_PAUSE).await,
                Err(error) => return Err(fail(error)),
            }
        }
    }

    /// Removes the sub-folders of processes that ended before they could. The living hold a lock on theirs.
    fn remove_leftovers(&self) {
        let Ok(entries) = Dir::read_from(&self.fd) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if !name.starts_with(STAGING_PREFIX) {
                continue;
            }
            let Ok(fd) = open_folder(&self.fd, Path::new(name)) else {
                continue;
            };
            if sys::flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok() {
                tracing::debug!(name, "removing what a start that was cut short has left");
                remove_staging(&fd, &self.path.join(name));
            }
        }
    }
}

/// Our temporary sub-folder, locked to show that its process lives.
#[derive(Debug)]
struct Staging {
    fd: OwnedFd,
    path: PathBuf,
}

impl Staging {
    fn create(folder: &Folder) -> Result<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let name = format!("{STAGING_PREFIX}{}", id.get(..12).unwrap_or(&id));
        let create = || -> rustix::io::Result<OwnedFd> {
            sys::mkdirat(&folder.fd, &*name, Mode::RWXU)?;
            let fd = open_folder(&folder.fd, Path::new(&name))?;
            sys::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
            Ok(fd)
        };
        let fd = create().map_err(|error| {
            let (folder, user) = (folder.path.display(), own_user().as_raw());
            let what = format!("write into the sockets folder {folder} as user {user}");
            fail_with(&error.into(), what)
        })?;
        let path = folder.path.join(name);
        Ok(Self { fd, path })
    }

    fn socket(&self) -> PathBuf {
        reach(&self.fd, &self.path, STAGED)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove_staging(&self.fd, &self.path);
    }
}

fn remove_staging(fd: &OwnedFd, path: &Path) {
    for name in [STAGED, REMOVED] {
        // What is not there need not go; what cannot go shows below.
        let _ = sys::unlinkat(fd, name, AtFlags::empty());
    }
    if let Err(error) = fs::remove_dir(path) {
        tracing::debug!(path = %path.display(), %error, "failed to remove a temporary folder");
    }
}

fn open_folder(at: impl std::os::fd::AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // The sockets folder itself may be a symbolic link, what is in it may not.
    let flags = if path.is_absolute() {
        flags - OFlags::NOFOLLOW
    } else {
        flags
    };
    sys::openat(at, path, flags, Mode::empty())
}

/// An address for what is in an open folder. Through the descriptor, where the system can, it is short, and the limit on
/// the length counts for the published path only.
fn reach(folder: &OwnedFd, path: &Path, name: &str) -> PathBuf {
    let descriptor = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    if cfg!(target_os = "linux") && descriptor.is_dir() {
        descriptor.join(name)
    } else {
        path.join(name)
    }
}

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    #[expect(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the types differ from system to system"
    )]
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: u64::from(stat.st_ino),
        }
    }

    fn at(folder: &OwnedFd, name: &str) -> Option<Self> {
        let stat = sys::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self::of(&stat))
    }
}

fn fail_with(error: &io::Error, what: String) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::InvalidSettings,
        io::ErrorKind::WouldBlock => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
