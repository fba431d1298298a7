//! `tidy`: the house rules that a machine can check.

mod arrows;
mod documents;
mod names;
mod sources;
mod tree;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use self::tree::Tree;
use crate::command::{self, cargo, root};

/// What cargo knows of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// A crate that another one names in its manifest.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for one that the crate itself needs; `dev` for its tests, `build` for its build script.
    pub(crate) kind: Option<String>,
    /// Where it is, for one in the workspace.
    pub(crate) path: Option<String>,
}

/// Reads the workspace.
pub(crate) fn workspace() -> Result<Workspace> {
    let metadata = command::output(&mut cargo([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--offline",
    ]))?;
    serde_json::from_str(&metadata).context("cannot read what cargo metadata wrote")
}

/// Prints what is against the rules, and fails when there is anything.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&root())?;
    let mut faults = arrows::faults(&workspace()?, &root());
    faults.extend(names::faults(&tree));
    faults.extend(sources::faults(&tree));
    faults.extend(documents::faults(&tree));
    for notice in sources::notices(&tree) {
        eprintln!("note: {notice}");
    }
    if faults.is_empty() {
        return Ok(());
    }
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    bail!("{} places are against the house rules", faults.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_project_follows_its_rules() {
        super::run().unwrap();
    }
}
