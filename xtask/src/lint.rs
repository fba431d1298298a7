//! `lint`: everything that needs no test.

use anyhow::{Result, bail};

use crate::command::{self, cargo};
use crate::{codegen, deny, docs, go, tidy};

type Step = (&'static str, fn() -> Result<()>);

/// The cheap ones first.
const STEPS: [Step; 8] = [
    ("format", format),
    ("tidy", tidy::run),
    ("docs --check", || docs::run(true)),
    ("codegen --check", || codegen::run(true)),
    ("clippy", clippy),
    ("features", features),
    ("rustdoc", rustdoc),
    ("deny", || deny::check(&["bans", "licenses", "sources"])),
];

/// Runs every step, and names those that failed.
pub(crate) fn run() -> Result<()> {
    go::install();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        eprintln!("== lint: {name}");
        if let Err(error) = step() {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("lint found faults in: {}", failed.join(", "))
}

fn format() -> Result<()> {
    command::run(&mut cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    command::run(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny=warnings",
    ]))
}

/// A feature only adds: every crate that has some builds without any and with each alone.
fn features() -> Result<()> {
    let mut failed = Vec::new();
    for package in tidy::workspace()?.packages {
        let names = package.features.keys().filter(|name| *name != "default");
        let alone = names.map(|name| vec!["--features", name]);
        let alone = alone.collect::<Vec<_>>();
        if alone.is_empty() {
            continue;
        }
        for extra in [vec![]].into_iter().chain(alone) {
            let outcome = command::run(
                cargo([
                    "clippy",
                    "--package",
                    &package.name,
                    "--no-default-features",
                ])
                .args(extra)
                .args(["--", "--deny=warnings"]),
            );
            failed.extend(outcome.err().map(|error| error.to_string()));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("; "))
}

fn rustdoc() -> Result<()> {
    command::run(
        cargo(["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    )
}
