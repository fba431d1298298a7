//! Dapr's resource files: YAML documents that say which components there are.

mod component;
mod folder;
mod yaml;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use self::folder::check_names;
pub use self::folder::{Resources, ScopeFilter};
use crate::registry::Identity;

/// How long an Init may take when the resource does not say.
pub const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A Component resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentResource {
    /// Its name, type and version.
    pub identity: Identity,
    /// `metadata.namespace`; empty when there is none.
    pub namespace: String,
    /// `auth.secretStore`: the secret store that its `secretKeyRef`s are in; empty when there is none.
    pub secret_store: String,
    /// The applications that may use it; empty for all.
    pub scopes: Vec<String>,
    /// Whether the host starts without it when it cannot be opened.
    pub ignore_errors: bool,
    /// How long its Init may take.
    pub init_timeout: Duration,
    /// `spec.metadata`, in the order of the file.
    pub properties: Vec<Property>,
    /// Where it stands.
    pub source: Source,
}

impl ComponentResource {
    /// A component made in code, for every application, with plain properties.
    #[must_use]
    pub fn new<N: Into<String>, V: Into<String>>(
        identity: Identity,
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            identity,
            namespace: String::new(),
            secret_store: String::new(),
            scopes: Vec::new(),
            ignore_errors: false,
            init_timeout: DEFAULT_INIT_TIMEOUT,
            properties: properties
                .into_iter()
                .map(|(name, value)| Property {
                    name: name.into(),
                    value: Some(value.into()),
                    secret: None,
                    env: None,
                })
                .collect(),
            source: Source::Code,
        }
    }
}

/// One entry of `spec.metadata`. Its value stands there, in a secret store or in an environment variable.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// The name, as the component gets it.
    pub name: String,
    /// `value`: a string as it is, anything else as JSON.
    pub value: Option<String>,
    /// `secretKeyRef`.
    pub secret: Option<SecretKeyRef>,
    /// `envRef`.
    pub env: Option<String>,
}

/// Says whether there is a value, and not which: it may be a password.
impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Property")
            .field("name", &self.name)
            .field("value", &self.value.as_ref().map(|_| format_args!("…")))
            .field("secret", &self.secret)
            .field("env", &self.env)
            .finish()
    }
}

/// A value in a secret store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeyRef {
    /// The secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// Where a resource comes from.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A program.
    Code,
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The line on which the document begins, counted from 1.
        line: u64,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("the host's defaults"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A file or document that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, where one is to blame.
    pub line: Option<u64>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

#[cfg(test)]
mod tests;
