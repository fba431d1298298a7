//! `test`: everything that runs.

use std::fs;

use anyhow::{Context, Result};

use crate::command::{self, cargo, root};
use crate::{debian, go, python};

/// Where tests write down what they skip; `testbed::skip` has the other end.
const SKIPPED: &str = "TEST_SKIPPED";

/// By how much long runs are longer; `testbed::rounds` and proptest read them.
const SOAK: [(&str, &str); 2] = [("TEST_ROUNDS_FACTOR", "10"), ("PROPTEST_CASES", "4096")];

/// Installs what is missing, runs the tests and says what they skipped.
pub(crate) fn run(soak: bool, arguments: &[String]) -> Result<()> {
    debian::install(&["sqlite3", "--version"], "sqlite3");
    debian::install(&["redis-server", "--version"], "redis-server");
    go::install();
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
