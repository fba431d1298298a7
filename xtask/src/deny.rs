//! cargo-deny: licences, bans, sources and advisories, by the rules in deny.toml.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::command::{self, cargo, root};

/// The version that the rules in deny.toml are written for.
const VERSION: &str = "0.20.2";

/// Runs some of its checks, after installing it when it is missing.
pub(crate) fn check(which: &[&str]) -> Result<()> {
    let program = installed()?;
    command::run(
        Command::new(program)
            .args(["--all-features", "check", "--hide-inclusion-graph"])
            .args(which),
    )
}

fn installed() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let own = tools.join("bin/cargo-deny");
    let on_path = PathBuf::from("cargo-deny");
    if let Some(program) = [on_path, own.clone()].into_iter().find(is_right) {
        return Ok(program);
    }
    eprintln!("cargo-deny {VERSION} is not there: building it takes some minutes, once");
    // Unoptimised it builds in a third of the time and checks as fast as anybody needs.
    command::run(
        cargo(["install", "cargo-deny", "--locked", "--no-default-features"])
            .args(["--debug", "--version", VERSION, "--root"])
            .arg(&tools)
            .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )?;
    Ok(own)
}

fn is_right(program: &PathBuf) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stderr(Stdio::null())
        .output();
    version.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        text.split_whitespace().any(|word| word == VERSION)
    })
}
