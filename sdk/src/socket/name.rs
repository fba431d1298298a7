//! The name of a socket file, as the runtime reads it.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::component::Block;
use crate::error::{Error, Result};

/// How many bytes the path of a socket may have: the kernel's field for it, less the zero at its end.
pub const MAX_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};

/// The extension of the socket files that we make. The runtime takes any.
const EXTENSION: &str = "sock";

/// The name under which a component is served: `redis` makes the file `redis.sock` and, at the runtime, the types
/// `state.redis`, `pubsub.redis` and so on.
///
/// It has lower-case ASCII letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit. Other names are
/// refused rather than changed, because the runtime reads names in lower case and without their last extension: what
/// people write into a resource file shall be what they wrote here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketName(String);

impl SocketName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) with the name and what is wrong with it.
    pub fn parse(name: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::invalid_settings(format!(
                "the component name {name:?} {why}"
            )))
        };
        if name.is_empty() {
            return refuse("is empty");
        }
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            let lower = name.to_ascii_lowercase();
            return refuse(&format!(
                "has upper-case letters: the runtime reads names in lower case, so it is {lower:?}"
            ));
        }
        if let Some(stem) = name.strip_suffix(".sock") {
            return refuse(&format!("is to be given without extension, as {stem:?}"));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(other) = name
            .chars()
            .find(|c| !allowed(*c) && !matches!(c, '-' | '_' | '.'))
        {
            return refuse(&format!(
                "has {other:?}: lower-case letters, digits, '-', '_' and '.' are allowed"
            ));
        }
        if !name.starts_with(allowed) || !name.ends_with(allowed) {
            return refuse("must begin and end with a letter or a digit");
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its file: `redis.sock`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{EXTENSION}", self.0)
    }

    /// The path of its file in a folder.
    ///
    /// # Errors
    /// As [`check_path`].
    pub fn path_in(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(self.file_name());
        check_path(&path)?;
        Ok(path)
    }

    /// What the runtime calls a building block of this component: `state.redis`.
    #[must_use]
    pub fn type_of(&self, block: Block) -> String {
        format!("{}.{}", block.category(), self.0)
    }
}

impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that a path fits into the address of a socket.
///
/// # Errors
/// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) with the path, its length and [`MAX_PATH`].
pub fn check_path(path: &Path) -> Result<()> {
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_PATH {
        return Err(Error::invalid_settings(format!(
            "the socket path {} has {length} bytes, {MAX_PATH} are possible: choose a shorter folder or name",
            path.display()
        )));
    }
    Ok(())
}

/// What a runtime makes of the name of a socket file: without the last extension, in lower case. `Redis.V2.sock` is the
/// component `redis.v2`.
#[must_use]
pub fn runtime_name(file_name: &str) -> String {
    let stem = file_name
        .rfind('.')
        .and_then(|dot| file_name.get(..dot))
        .unwrap_or(file_name);
    stem.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_given() {
        for name in ["redis", "redis-fast", "local.file", "a_b.c-9", "3"] {
            let parsed = SocketName::parse(name).unwrap();
            assert_eq!(runtime_name(&parsed.file_name()), name);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_reason() {
        for (name, reason) in [
            ("", "is empty"),
            ("Redis", "lower case, so it is \"redis\""),
            ("redis.sock", "without extension, as \"redis\""),
            ("a/b", "has '/'"),
            ("a b", "has ' '"),
            ("größe", "has 'ö'"),
            ("..", "must begin and end"),
            (".hidden", "must begin and end"),
            ("dot.", "must begin and end"),
            ("a\0", "has '\\0'"),
        ] {
            let error = SocketName::parse(name).unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains(&format!("{name:?}")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_runtime_cuts_one_extension_and_lowers_the_rest() {
        for (file, name) in [
            ("redis.sock", "redis"),
            ("Redis.V2.sock", "redis.v2"),
            ("plain", "plain"),
            (".sock", ""),
        ] {
            assert_eq!(runtime_name(file), name);
        }
    }

    #[test]
    fn a_path_may_fill_the_field_and_no_more() {
        let name = SocketName::parse("a").unwrap();
        let folder = |length| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        let longest = MAX_PATH - "/a.sock".len();
        assert!(name.path_in(&folder(longest)).is_ok());
        let error = name.path_in(&folder(longest + 1)).unwrap_err().to_string();
        assert!(
            error.contains(&format!(
                "has {} bytes, {MAX_PATH} are possible",
                MAX_PATH + 1
            )),
            "{error}"
        );
    }

    #[test]
    fn types_carry_the_category() {
        let name = SocketName::parse("redis").unwrap();
        assert_eq!(name.type_of(Block::StateStore), "state.redis");
        assert_eq!(name.type_of(Block::InputBinding), "bindings.redis");
    }
}
