//! `docs`: tables of metadata, from the doc comments of settings.
//!
//! A README asks for a table with `<!-- settings:begin SomeSettings -->` and gets it up to `<!-- settings:end -->`. A field's
//! comment is its meaning, up to paragraphs that begin with `Default:`, `Example:` or are `Required.`.

mod markdown;
mod settings;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::settings::Settings;
use crate::command::root;

/// Writes the tables, or with `check` fails when one is not what would be written.
pub(crate) fn run(check: bool) -> Result<()> {
    let components = root().join("components");
    let mut folders = fs::read_dir(&components)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    folders.sort();
    for folder in folders {
        let (readme, source) = (folder.join("README.md"), folder.join("src/settings.rs"));
        if readme.is_file() && source.is_file() {
            update(&readme, &source, check)
                .with_context(|| format!("cannot make the tables of {}", readme.display()))?;
        }
    }
    Ok(())
}

fn update(readme: &Path, source: &Path, check: bool) -> Result<()> {
    let present = fs::read_to_string(readme)?;
    let settings = Settings::parse(&fs::read_to_string(source)?)?;
    let fresh = markdown::fill(&present, &settings)?;
    if fresh == present {
        return Ok(());
    }
    if check {
        bail!("out of date: run `cargo xtask docs`");
    }
    fs::write(readme, fresh)?;
    Ok(())
}
