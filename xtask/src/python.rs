//! Python packages that tests use, in a virtual environment under target/.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{root, run};
use crate::debian;

/// What is installed: one list for each program in Python.
const REQUIREMENTS: [&str; 2] = [
    "examples/python/requirements.txt",
    "testbed/peers/python/requirements.txt",
];
/// Where; tests look for `bin/python` in it.
const ENVIRONMENT: &str = "target/python";

/// Installs the packages, unless they are there. What stays missing is for the tests to skip, or to fail for.
pub(crate) fn install() {
    if let Err(error) = try_install() {
        eprintln!("cannot install Python packages: {error:#}");
    }
}

fn try_install() -> Result<()> {
    let (environment, mut wanted) = (root().join(ENVIRONMENT), String::new());
    for list in REQUIREMENTS {
        wanted.push_str(
            &fs::read_to_string(root().join(list))
                .with_context(|| format!("cannot read {list}"))?,
        );
    }
    // Written last, so that an installation that was cut short is done again.
    let installed = environment.join("installed.txt");
    match fs::read_to_string(&installed) {
        Ok(text) if text == wanted => return Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    debian::install(&["python3", "-c", "import ensurepip, venv"], "python3-venv");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    for list in REQUIREMENTS {
        run(Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(root().join(list)))?;
    }
    Ok(fs::write(installed, wanted)?)
}
