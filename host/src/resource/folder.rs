//! Folders of resource files, read as Dapr reads them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use dapr_pluggable::{Error, ErrorKind, Result};
use tracing::{error, info, warn};

use super::component::{Document, read};
use super::{ComponentResource, Problem, yaml};

/// What lies in the resource folders for one application.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The components, in the order of folders, files and documents.
    pub components: Vec<ComponentResource>,
    /// What was left out. Dapr loads the rest all the same.
    pub problems: Vec<Problem>,
    /// The names of the Subscription resources.
    pub subscriptions: Vec<String>,
}

/// For whom resources are read.
#[derive(Clone, Copy, Debug)]
pub struct ScopeFilter<'a> {
    /// The application: a resource with scopes must name it.
    pub app_id: &'a str,
    /// The namespace of the host: if it has one, a resource that has one must have the same.
    pub namespace: Option<&'a str>,
}

impl ScopeFilter<'_> {
    fn admits(&self, component: &ComponentResource) -> bool {
        let namespace = match self.namespace {
            Some(own) => component.namespace.is_empty() || component.namespace == own,
            None => true,
        };
        let scoped = component.scopes.is_empty()
            || component.scopes.iter().any(|scope| scope == self.app_id);
        namespace && scoped
    }
}

impl Resources {
    /// Reads the `.yaml` and `.yml` files of each folder, in the order of their names, without its sub-folders. A file
    /// or document that cannot be read is a [`Problem`].
    ///
    /// # Errors
    /// [`InvalidSettings`](ErrorKind::InvalidSettings) when a folder is not there, and for two components of one
    /// name.
    pub fn load(folders: &[PathBuf], filter: ScopeFilter<'_>) -> Result<Self> {
        let mut resources = Self::default();
        for folder in folders {
            for path in files(folder)? {
                resources.read_file(&path, filter);
            }
        }
        check_names(&resources.components)?;
        Ok(resources)
    }

    /// Says in the log what was left out and what is not used yet.
    pub fn report(&self) {
        for problem in &self.problems {
            error!("left out a resource: {problem}");
        }
        if !self.subscriptions.is_empty() {
            let names = self.subscriptions.join(", ");
            info!("subscription resources are not used yet: {names}");
        }
    }

    fn read_file(&mut self, path: &Path, filter: ScopeFilter<'_>) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problem(path, None, format!("the file cannot be read: {error}"));
                return;
            }
        };
        for document in documents(&text) {
            match yaml::parse(&document).and_then(|node| read(&node, path)) {
                Ok(Document::Component(component)) if filter.admits(&component) => {
                    self.components.push(component);
                }
                Ok(Document::Subscription(name)) => self.subscriptions.push(name),
                Ok(Document::Component(_) | Document::Other) => {}
                Err(fault) => self.problem(path, Some(fault.line), fault.message),
            }
        }
    }

    fn problem(&mut self, path: &Path, line: Option<u64>, message: String) {
        self.problems.push(Problem {
            path: path.to_owned(),
            line,
            message,
        });
    }
}

/// Fails for two components of one name, which Dapr does not start with either.
///
/// # Errors
/// [`InvalidSettings`](ErrorKind::InvalidSettings), with Dapr's text and where both are.
pub(crate) fn check_names<'a>(
    components: impl IntoIterator<Item = &'a ComponentResource>,
) -> Result<()> {
    let mut seen: HashMap<&str, &ComponentResource> = HashMap::new();
    for component in components {
        if let Some(first) = seen.insert(&component.identity.name, component) {
            return Err(Error::invalid_settings(format!(
                "duplicate definition of Component name {} with existing {} (at {} and {})",
                component.identity, first.identity, component.source, first.source
            )));
        }
    }
    Ok(())
}

/// The resource files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| {
        let text = format!("read the resources folder {}: {error}", folder.display());
        Error::new(ErrorKind::InvalidSettings, text).with_source(error)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_yaml = path.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
        });
        // What a link leads to counts: Kubernetes mounts files as links.
        if path.is_dir() {
            continue;
        }
        // Something else, a pipe perhaps, could not be read to its end.
        if is_yaml && path.is_file() {
            files.push(path);
        } else {
            warn!(
                file = %path.display(),
                "not a resource file: expected a regular file with the extension .yaml or .yml"
            );
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The documents of a file. Each stands on its own, so that an error in one leaves the others, and has as many empty
/// lines before it as there are lines before it in the file, so that its lines have the numbers they have there.
fn documents(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = vec![String::new()];
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("---") && index > 0 {
            documents.push("\n".repeat(index));
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}
