//! What no other test has: folders, ports, names.

use std::env;
use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use uuid::Uuid;

/// How much of the 107 bytes of a socket's path its folder may take.
const LONGEST: usize = 60;

/// A temporary folder that everybody may use and whose path leaves room for sockets; it goes when it is dropped.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn socket_folder() -> TempDir {
    let own = env::temp_dir();
    let parent = if own.as_os_str().len() < LONGEST {
        own
    } else {
        PathBuf::from("/tmp")
    };
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .expect("make a temporary folder")
}

/// A TCP port on loopback that nothing listens on. Another process may take it before the test does: where a
/// server can bind port 0 and say what it got, that is better.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("find a free port")
        .port()
}

/// A name that nothing else has, with a beginning for people.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4().simple())
}
