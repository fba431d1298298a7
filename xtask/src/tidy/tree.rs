//! The files of the project.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Every file that belongs to the project, by its path from the root with `/` between names.
#[derive(Debug)]
pub(super) struct Tree {
    files: Vec<File>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    /// None for what is not text.
    pub(super) text: Option<String>,
}

/// Folders of tools, and of what is built.
const FOREIGN: [&str; 3] = ["target", ".git", "node_modules"];

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Rust that somebody wrote.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(".rs").filter(|(path, _)| !is_generated(path))
    }

    /// Text files whose name ends so, and their text.
    pub(super) fn texts(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files()
            .filter(move |file| file.path.ends_with(ending))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File {
            path: (*path).to_owned(),
            text: Some((*text).to_owned()),
        });
        Self {
            files: files.collect(),
        }
    }
}

/// Written by `cargo xtask codegen`, and read by nobody.
fn is_generated(path: &str) -> bool {
    path.starts_with("protocol/src/generated/")
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if entry.file_type()?.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push(File {
                path,
                text: String::from_utf8(bytes).ok(),
            });
        }
    }
    Ok(())
}
