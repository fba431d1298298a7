//! Who may connect to a socket: its mode, its owner and its group.

use std::fmt;
use std::fs;

use rustix::fs::{Gid, Uid};
use rustix::process;

use crate::error::{Error, Result};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The mode and the group that a socket gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) group: Option<Gid>,
}

impl Access {
    /// What was asked for, else what suits the place: everybody in a container, where the folder is private and the
    /// users differ; else the owner and the group.
    ///
    /// # Errors
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for a mode with other bits than permissions, and for a
    /// group that is not known.
    pub(crate) fn choose(
        mode: Option<u32>,
        group: Option<&str>,
        in_container: bool,
    ) -> Result<Self> {
        let mode = mode.unwrap_or(if in_container { 0o666 } else { 0o660 });
        if mode > 0o777 {
            return Err(Error::invalid_settings(format!(
                "the socket mode {mode:o} is not one of 0 to 777 (octal)"
            )));
        }
        let group = group.map(find_group).transpose()?;
        Ok(Self { mode, group })
    }
}

impl fmt::Display for Access {
    /// Who may connect to a socket that this process makes: `user dapr (1001) and group dapr (1001)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Connecting is writing, as the kernel sees it.
        if self.mode & 0o002 != 0 {
            return f.write_str("everybody");
        }
        let user = process::geteuid();
        if self.mode & 0o200 != 0 {
            write!(f, "user {}", Named(USERS, user.as_raw()))?;
        } else {
            f.write_str("root")?;
        }
        if self.mode & 0o020 != 0 {
            let group = self.group.unwrap_or_else(process::getegid);
            write!(f, " and group {}", Named(GROUPS, group.as_raw()))?;
        }
        Ok(())
    }
}

/// The user this process acts as.
pub(crate) fn own_user() -> Uid {
    process::geteuid()
}

/// An id with its name, where the file knows one: `dapr (1001)`.
struct Named(&'static str, u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, id) = self;
        let known = entries(file);
        match known.iter().find(|(_, known)| known == id) {
            Some((name, _)) => write!(f, "{name} ({id})"),
            None => write!(f, "{id}"),
        }
    }
}

fn find_group(group: &str) -> Result<Gid> {
    // The highest number means "leave it as it is" to the kernel.
    let number = group
        .parse()
        .ok()
        .filter(|number| *number != u32::MAX)
        .or_else(|| {
            entries(GROUPS)
                .into_iter()
                .find(|(name, _)| name == group)
                .map(|(_, id)| id)
        });
    number.map(Gid::from_raw).ok_or_else(|| {
        Error::invalid_settings(format!(
            "the socket group {group:?} is not in {GROUPS}: give its number"
        ))
    })
}

/// Names and numbers of a file in the form of `/etc/passwd` and `/etc/group`; none when it cannot be read.
fn entries(file: &str) -> Vec<(String, u32)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<(String, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let number = fields.nth(1)?.parse().ok()?;
    Some((name.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides_unless_told() {
        let mode = |mode, in_container| Access::choose(mode, None, in_container).unwrap().mode;
        assert_eq!(mode(None, true), 0o666);
        assert_eq!(mode(None, false), 0o660);
        assert_eq!(mode(Some(0o600), true), 0o600);
        let error = Access::choose(Some(0o1777), None, false).unwrap_err();
        assert!(error.to_string().contains("1777"), "{error}");
    }

    #[test]
    fn a_group_is_known_by_name_or_number() {
        let group = |group| Access::choose(None, Some(group), false).map(|access| access.group);
        assert_eq!(group("root").unwrap(), Some(Gid::from_raw(0)));
        assert_eq!(group("1234").unwrap(), Some(Gid::from_raw(1234)));
        for unknown in ["no-such-group", "", "-1", "4294967295"] {
            let error = group(unknown).unwrap_err().to_string();
            assert!(error.contains(&format!("{unknown:?}")), "{error}");
        }
    }

    #[test]
    fn it_says_who_may_connect() {
        let says = |mode| {
            let group = Some(Gid::from_raw(0));
            Access { mode, group }.to_string()
        };
        let user = format!("user {}", Named(USERS, own_user().as_raw()));
        assert_eq!(says(0o666), "everybody");
        assert_eq!(says(0o660), format!("{user} and group root (0)"));
        assert_eq!(says(0o600), user);
        assert_eq!(says(0o640), user);
    }

    #[test]
    fn lines_that_are_no_entries_are_passed_over() {
        assert_eq!(entry("dapr:x:1001:a,b"), Some(("dapr".to_owned(), 1001)));
        assert_eq!(entry("# comment"), None);
        assert_eq!(entry("half:x"), None);
        assert_eq!(entry("odd:x:many:"), None);
    }
}
