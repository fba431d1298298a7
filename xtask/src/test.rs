//! `test`: everything that runs.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command::{self, cargo, root};
use crate::python;

/// Where tests write down what they skip; `testbed::skip` has the other end.
const SKIPPED: &str = "TEST_SKIPPED";

/// By how much long runs are longer; `testbed::rounds` and proptest read them.
const SOAK: [(&str, &str); 2] = [("TEST_ROUNDS_FACTOR", "10"), ("PROPTEST_CASES", "4096")];

/// Installs what is missing, runs the tests and says what they skipped.
pub(crate) fn run(soak: bool, arguments: &[String]) -> Result<()> {
    install("sqlite3", "sqlite3");
    python::install();
    let skipped = root().join("target/skipped-tests");
    fs::create_dir_all(root().join("target"))?;
    fs::write(&skipped, "").with_context(|| format!("cannot write {}", skipped.display()))?;
    let mut command = cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    command.args(arguments).env(SKIPPED, &skipped);
    if soak {
        command.envs(SOAK);
    }
    let outcome = command::run(&mut command);
    report(&fs::read_to_string(&skipped)?);
    outcome
}

fn report(skipped: &str) {
    let mut lines: Vec<&str> = skipped.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.is_empty() {
        println!("skipped: nothing");
    }
    for line in lines {
        println!("{line}");
    }
}

/// Sees to it that a program is there that tests use: on Debian, for root, by installing its package; elsewhere by saying
/// how. What stays missing is for the tests to skip, or to fail for.
fn install(program: &str, package: &str) {
    if runs(Command::new(program).arg("--version")) {
        return;
    }
    let is_root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root && runs(Command::new("apt-get").arg("--version")) {
        let installed = apt_get(&["update"]).and_then(|()| apt_get(&["install", "--yes", package]));
        match installed {
            Ok(()) => return,
            Err(error) => eprintln!("cannot install {package}: {error:#}"),
        }
    }
    eprintln!(
        "{program} is missing: `apt-get install {package}`, or your system's package of that name"
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

fn runs(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
