//! Users and groups of this machine, and what a mode lets them do.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Result;
use rustix::process::{getegid, geteuid, getgroups};

use crate::exit::Failure;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A user with the groups that it is in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: u32,
    groups: Vec<u32>,
}

impl User {
    /// Who runs this process.
    pub(crate) fn own() -> Self {
        let mut groups: Vec<u32> = getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(rustix::fs::Gid::as_raw)
            .collect();
        groups.push(getegid().as_raw());
        Self {
            id: geteuid().as_raw(),
            groups,
        }
    }

    /// The user of that name or number, with what the files of this machine know of its groups.
    pub(crate) fn find(text: &str) -> Result<Self> {
        let users = read(USERS);
        let known = users
            .iter()
            .find(|entry| entry.name == text || entry.id.is_some_and(|id| id.to_string() == text));
        let id = known
            .and_then(|entry| entry.id)
            .or_else(|| text.parse().ok())
            .ok_or_else(|| {
                Failure::usage(format!(
                    "the user {text:?} is not in {USERS}: give its number"
                ))
            })?;
        let name = known.map(|entry| entry.name.as_str());
        let is_member = |entry: &Entry| {
            let members = entry.fields.first().map(String::as_str).unwrap_or_default();
            members.split(',').any(|member| Some(member) == name)
        };
        let mut groups: Vec<u32> = read(GROUPS)
            .iter()
            .filter(|entry| is_member(entry))
            .filter_map(|entry| entry.id)
            .collect();
        let primary: Option<u32> = known.and_then(|entry| entry.fields.first()?.parse().ok());
        groups.extend(primary);
        Ok(Self { id, groups })
    }

    /// Whether a socket of that owner, group and mode takes its connections: that is writing, as the kernel sees it.
    pub(crate) fn may_write(&self, owner: u32, group: u32, mode: u32) -> bool {
        self.may(0o2, owner, group, mode)
    }

    /// The first folder above a path that it may not pass through.
    pub(crate) fn shut_out_by<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
        folders.reverse();
        folders.into_iter().find(|folder| {
            fs::metadata(folder).is_ok_and(|metadata| {
                !self.may(0o1, metadata.uid(), metadata.gid(), metadata.mode())
            })
        })
    }

    fn may(&self, bit: u32, owner: u32, group: u32, mode: u32) -> bool {
        let shift = if self.id == owner {
            6
        } else if self.groups.contains(&group) {
            3
        } else {
            0
        };
        self.id == 0 || mode & (bit << shift) != 0
    }
}

/// The name of a user, where this machine knows one.
pub(crate) fn user_name(id: u32) -> Option<String> {
    name_in(USERS, id)
}

/// The name of a group, where this machine knows one.
pub(crate) fn group_name(id: u32) -> Option<String> {
    name_in(GROUPS, id)
}

fn name_in(file: &str, id: u32) -> Option<String> {
    let entries = read(file);
    let entry = entries.into_iter().find(|entry| entry.id == Some(id))?;
    Some(entry.name)
}

/// A line of `/etc/passwd` or `/etc/group`: name, number, and what follows it.
struct Entry {
    name: String,
    id: Option<u32>,
    fields: Vec<String>,
}

fn read(file: &str) -> Vec<Entry> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':').map(str::to_owned);
    let name = fields.next()?;
    let id = fields.nth(1)?.parse().ok();
    Some(Entry {
        name,
        id,
        fields: fields.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32, groups: &[u32]) -> User {
        let groups = groups.to_vec();
        User { id, groups }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let daprd = user(65532, &[7]);
        assert!(!daprd.may_write(1, 2, 0o660));
        assert!(daprd.may_write(1, 2, 0o666));
        assert!(daprd.may_write(1, 7, 0o660));
        assert!(!daprd.may_write(1, 7, 0o606));
        assert!(!daprd.may_write(65532, 7, 0o066));
        assert!(user(0, &[]).may_write(1, 2, 0o000));
    }

    #[test]
    fn users_are_known_by_name_or_number() {
        assert_eq!(User::find("root").unwrap().id, 0);
        let root = User::find("0").unwrap();
        assert_eq!((root.id, root.groups.contains(&0)), (0, true));
        assert_eq!(User::find("65532").unwrap().id, 65532);
        let error = User::find("no-such-user").unwrap_err().to_string();
        assert!(error.contains("\"no-such-user\""), "{error}");
        assert_eq!(user_name(0).as_deref(), Some("root"));
    }
}
