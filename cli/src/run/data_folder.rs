//! Where the host's own components keep their data, when no resource file says which components there are.

use std::env;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dapr_pluggable_host::{ComponentResource, Identity};

use crate::exit::Failure;

const NAME: &str = "dapr-pluggable";

/// A folder that is there.
#[derive(Debug)]
pub(super) struct DataFolder(PathBuf);

impl DataFolder {
    /// Finds the folder and creates it, for its owner alone, unless it is there.
    pub(super) fn create(explicit: Option<&Path>) -> Result<Self> {
        let path = match explicit {
            Some(path) => path.to_owned(),
            None => find(|name| env::var_os(name))?,
        };
        let path = std::path::absolute(&path)
            .with_context(|| format!("find the folder {}", path.display()))?;
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        created.with_context(|| format!("create the data folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// The components whose data is in it, under the names that Dapr's own quick starts have.
    pub(super) fn components(&self) -> Result<[ComponentResource; 2]> {
        let state = [
            ("connectionString", self.database("statestore.db")?),
            ("cleanupInterval", "10m".to_owned()),
        ];
        let messages = [("connectionString", self.database("pubsub.db")?)];
        Ok([
            ComponentResource::new(Identity::new("statestore", "state.sqlite", "v1"), state),
            ComponentResource::new(Identity::new("pubsub", "pubsub.sqlite", "v1"), messages),
        ])
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.0
    }

    /// The connection string of a file in it: a URI, in which a path may have any character.
    fn database(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);
        let path = path.to_str().ok_or_else(|| {
            let folder = self.0.display();
            Failure::new(
                crate::exit::FAILED,
                format!("use the data folder {folder}: its name is not UTF-8"),
            )
        })?;
        let path = path.replace('%', "%25");
        let path = path.replace('?', "%3F").replace('#', "%23");
        Ok(format!("file:{path}"))
    }
}

/// The user's own data folder, by the rules of the XDG base directories: relative paths do not count.
fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    let folder = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join(NAME))
        .ok_or_else(|| {
            let home = variable("HOME");
            let text = match home.filter(|home| !home.is_empty()) {
                None => "HOME is not set".to_owned(),
                Some(home) => format!("HOME is {home:?}, which is no absolute path"),
            };
            let text = format!("find a folder for data: {text}; give --data-dir DIR, or components of your own with --resources-path DIR");
            Failure::new(crate::exit::FAILED, text)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<PathBuf, String> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        find(|name| variables.get(name).map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_users_own_folder_is_found_or_asked_for() {
        let home = found(&[("HOME", "/h/a")]).unwrap();
        assert_eq!(home, Path::new("/h/a/.local/share/dapr-pluggable"));
        let xdg = found(&[("HOME", "/h/a"), ("XDG_DATA_HOME", "/data")]).unwrap();
        assert_eq!(xdg, Path::new("/data/dapr-pluggable"));
        let relative = found(&[("HOME", "/h/a"), ("XDG_DATA_HOME", "data")]).unwrap();
        assert_eq!(relative, home);
        for (variables, why) in [
            (&[][..], "HOME is not set"),
            (&[("HOME", "")], "HOME is not set"),
            (&[("HOME", "here")], "HOME is \"here\""),
        ] {
            let error = found(variables).unwrap_err();
            assert!(
                error.contains(why) && error.contains("--data-dir"),
                "{error}"
            );
        }
    }

    #[test]
    fn any_folder_can_stand_in_a_connection_string() {
        let folder = DataFolder(PathBuf::from("/a b/50%?#1"));
        let uri = folder.database("x.db").unwrap();
        assert_eq!(uri, "file:/a b/50%25%3F%231/x.db");
    }
}
