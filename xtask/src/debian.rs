//! Packages of Debian.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::command::{self, output};

/// Sees to it that a command works: on Debian, for root, by installing the package that has it; elsewhere by saying how.
/// What stays missing is for the tests to skip, or to fail for.
pub(crate) fn install(probe: &[&str], package: &str) {
    if works(probe) {
        return;
    }
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root && works(&["apt-get", "--version"]) {
        let installed = apt_get(&["update"]).and_then(|()| apt_get(&["install", "--yes", package]));
        match installed {
            Ok(()) => return,
            Err(error) => eprintln!("cannot install {package}: {error:#}"),
        }
    }
    eprintln!(
        "`{}` does not work: `apt-get install {package}`, or your system's package of that name",
        probe.join(" ")
    );
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    command::run(
        Command::new("apt-get")
            .args(["--quiet", "--no-install-recommends"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn works(probe: &[&str]) -> bool {
    let [program, arguments @ ..] = probe else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
