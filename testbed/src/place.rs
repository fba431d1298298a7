//! What no other test has: folders, ports, names.

use std::env;
use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use uuid::Uuid;

/// How much of the 107 bytes of a socket's path its folder may take.
const LONGEST: usize = 60;

/// Below what Linux gives to clients, and above what services are used to have.
const SERVER_PORTS: Range<u16> = 20_000..32_000;

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

/// A TCP port on loopback for a server that comes back to it after a stop. It is none of those that the system gives to
/// clients: they would take it meanwhile, or connect to themselves there.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn server_port() -> u16 {
    let candidates = (0..1000).map(|_| {
        let (_, random, ..) = Uuid::new_v4().as_fields();
        SERVER_PORTS.start + random % (SERVER_PORTS.end - SERVER_PORTS.start)
    });
    candidates
        .into_iter()
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("find a free port")
}

/// A name that nothing else has, with a beginning for people.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4().simple())
}
