//! Where a runtime looks for components: the sockets folder, and what the names of the files in it mean.
//!
//! Server, host and tools share these rules, so that all of them agree with Dapr's own runtime.

mod builtin;
mod container;
mod folder;
mod name;
mod scan;

pub use self::builtin::replaces_builtin;
pub use self::container::{in_container, in_container_with};
pub use self::folder::{DEFAULT_FOLDER, FOLDER_VARIABLES, FolderSource, SocketsFolder};
pub use self::name::{MAX_PATH, SocketName, check_path, runtime_name};
pub use self::scan::{Found, Obstacle};
