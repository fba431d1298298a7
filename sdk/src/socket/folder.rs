//! The folder in which components and runtimes meet.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Where Dapr's runtime looks when nothing is set.
pub const DEFAULT_FOLDER: &str = "/tmp/dapr-components-sockets";

/// The variables that may name the folder, in the order in which they are asked. Dapr's runtime reads the first alone;
/// the others are what .NET and Go components read and what the Kubernetes injector sets.
pub const FOLDER_VARIABLES: [&str; 4] = [
    RUNTIME_VARIABLE,
    "DAPR_PLUGGABLE_COMPONENTS_SOCKETS_FOLDER",
    "DAPR_COMPONENT_SOCKETS_FOLDER",
    "DAPR_COMPONENT_SOCKET_FOLDER",
];

const RUNTIME_VARIABLE: &str = "DAPR_COMPONENTS_SOCKETS_FOLDER";

/// The sockets folder, and what decided on it.
///
/// A choice made in code or on the command line comes first, then [`FOLDER_VARIABLES`] in their order, then
/// [`DEFAULT_FOLDER`]. Empty values count as unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketsFolder {
    path: PathBuf,
    source: FolderSource,
    /// Where a runtime with the same environment looks.
    runtime: PathBuf,
}

/// What decided on the sockets folder.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderSource {
    /// The code or the command line.
    Explicit,
    /// This environment variable.
    Variable(&'static str),
    /// Nothing: it is [`DEFAULT_FOLDER`].
    Default,
}

impl fmt::Display for FolderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "explicit",
            Self::Variable(name) => name,
            Self::Default => "default",
        })
    }
}

impl SocketsFolder {
    /// Finds the folder, with the environment of this process.
    #[must_use]
    pub fn find(explicit: Option<&Path>) -> Self {
        Self::find_with(explicit, |name| env::var_os(name))
    }

    /// Finds the folder, with the environment as `lookup` has it.
    #[must_use]
    pub fn find_with(explicit: Option<&Path>, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name| {
            lookup(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let explicit = explicit.filter(|path| !path.as_os_str().is_empty());
        let (path, source) = explicit
            .map(|path| (path.to_owned(), FolderSource::Explicit))
            .or_else(|| {
                FOLDER_VARIABLES.into_iter().find_map(|name| {
                    variable(name).map(|path| (path, FolderSource::Variable(name)))
                })
            })
            .unwrap_or_else(|| (PathBuf::from(DEFAULT_FOLDER), FolderSource::Default));
        let runtime = variable(RUNTIME_VARIABLE).unwrap_or_else(|| PathBuf::from(DEFAULT_FOLDER));
        Self {
            path: absolute(path),
            source,
            runtime: absolute(runtime),
        }
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What decided on it.
    #[must_use]
    pub fn source(&self) -> FolderSource {
        self.source
    }

    /// What to tell a component's operator when Dapr's runtime, with the same environment, looks elsewhere.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.path != self.runtime).then(|| {
            format!(
                "daprd reads {RUNTIME_VARIABLE} alone and will look in {}: set that variable to {} for daprd too",
                self.runtime.display(),
                self.path.display()
            )
        })
    }

    /// Creates the folder, with its parents, unless it is there. One that is made gets mode 0755, in a container 0777,
    /// since runtime and component may run as different users there.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) when it may not be created, [`InvalidSettings`](ErrorKind::InvalidSettings) when
    /// something else has that name, [`Internal`](ErrorKind::Internal) for whatever else the system says.
    pub fn create(&self, in_container: bool) -> Result<()> {
        let folder = self.path.display();
        if self.path.is_dir() {
            return Ok(());
        }
        let parents = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        match parents.and_then(|()| fs::create_dir(&self.path)) {
            Ok(()) => {}
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path.is_dir() => {
                return Ok(());
            }
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        ErrorKind::Denied
                    }
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                        ErrorKind::InvalidSettings
                    }
                    _ => ErrorKind::Internal,
                };
                let text = format!("create the sockets folder {folder}: {error}");
                return Err(Error::new(kind, text).with_source(error));
            }
        }
        // The mode given to mkdir would be cut by the umask.
        let mode = if in_container { 0o777 } else { 0o755 };
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).map_err(|error| {
            let text = format!("set the mode of the sockets folder {folder}: {error}");
            Error::internal(text).with_source(error)
        })
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    // It fails for an empty path, which was excluded, and where the working folder is gone.
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn find(explicit: Option<&str>, variables: &[(&str, &str)]) -> SocketsFolder {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        SocketsFolder::find_with(explicit.map(Path::new), |name| {
            variables.get(name).map(OsString::from)
        })
    }

    #[test]
    fn the_order_is_explicit_then_the_variables_then_the_default() {
        let all: Vec<(&str, &str)> = FOLDER_VARIABLES.iter().map(|name| (*name, *name)).collect();
        let folder = find(Some("/flag"), &all);
        assert_eq!(
            (folder.path(), folder.source()),
            (Path::new("/flag"), FolderSource::Explicit)
        );
        for first in 0..all.len() {
            let folder = find(None, &all[first..]);
            assert_eq!(
                folder.source(),
                FolderSource::Variable(FOLDER_VARIABLES[first])
            );
            assert!(folder.path().ends_with(FOLDER_VARIABLES[first]));
        }
        let folder = find(None, &[]);
        assert_eq!(
            (folder.path(), folder.source()),
            (Path::new(DEFAULT_FOLDER), FolderSource::Default)
        );
    }

    #[test]
    fn empty_counts_as_unset() {
        let folder = find(
            Some(""),
            &[
                (FOLDER_VARIABLES[0], ""),
                (FOLDER_VARIABLES[1], ""),
                (FOLDER_VARIABLES[2], "/here"),
            ],
        );
        assert_eq!(folder.path(), Path::new("/here"));
    }

    #[test]
    fn it_warns_only_when_the_runtime_looks_elsewhere() {
        assert_eq!(find(None, &[]).warning(), None);
        assert_eq!(find(None, &[(FOLDER_VARIABLES[0], "/a")]).warning(), None);
        assert_eq!(find(Some(DEFAULT_FOLDER), &[]).warning(), None);
        assert_eq!(
            find(None, &[(FOLDER_VARIABLES[2], DEFAULT_FOLDER)]).warning(),
            None
        );
        assert_eq!(
            find(Some("/a/"), &[(FOLDER_VARIABLES[0], "/a")]).warning(),
            None
        );
        for (explicit, variables) in [
            (Some("/a"), vec![]),
            (Some("/a"), vec![(FOLDER_VARIABLES[0], "/b")]),
            (None, vec![(FOLDER_VARIABLES[3], "/a")]),
        ] {
            let warning = find(explicit, &variables).warning().unwrap();
            assert!(warning.contains("will look in"), "{warning}");
        }
    }

    #[test]
    fn a_folder_is_made_with_the_mode_of_its_place() {
        let temporary = tempfile::tempdir().unwrap();
        for (in_container, expected) in [(false, 0o755), (true, 0o777)] {
            let path = temporary.path().join(format!("{in_container}/deep"));
            let folder = SocketsFolder::find(Some(&path));
            folder.create(in_container).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, expected);
            // Once it is there its mode is its owner's affair.
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            folder.create(in_container).unwrap();
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
                0o700
            );
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error_that_names_it() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        fs::write(&file, "kept").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = SocketsFolder::find(Some(&path)).create(false).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{error}");
            assert!(error.to_string().contains(&*path.to_string_lossy()));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
