//! What there is to know about one file in a sockets folder.

use std::path::PathBuf;

use serde::Serialize;

/// Everything that `inspect` has seen. Serialised, it is the output for machines: members are added, never changed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The folder, and what decided on it; none with `--socket`.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) folder_from: Option<String>,
    pub(crate) sockets: Vec<Finding>,
    /// What concerns the folder and not one file.
    pub(crate) problems: Vec<Problem>,
}

impl Report {
    /// Whether something is wrong; remarks do not count.
    pub(crate) fn is_bad(&self) -> bool {
        let all = self.sockets.iter().flat_map(|socket| &socket.problems);
        let mut all = all.chain(&self.problems);
        all.any(|problem| problem.severity == Severity::Error)
    }
}

/// One file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    /// The component's name, as the runtime reads it.
    pub(crate) name: String,
    /// Permissions, in octal.
    pub(crate) mode: Option<String>,
    pub(crate) owner: Option<Id>,
    pub(crate) group: Option<Id>,
    /// Who listens, where that process is in our pid namespace.
    pub(crate) process: Option<Process>,
    /// How long one answer of reflection takes.
    pub(crate) latency_us: Option<u64>,
    pub(crate) services: Vec<String>,
    pub(crate) blocks: Vec<&'static str>,
    /// What a runtime calls the building blocks: `state.redis`.
    pub(crate) types: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

impl Finding {
    pub(crate) fn error(&mut self, code: &'static str, text: impl Into<String>) {
        self.problems
            .push(Problem::new(Severity::Error, code, text));
    }

    pub(crate) fn warning(&mut self, code: &'static str, text: impl Into<String>) {
        self.problems
            .push(Problem::new(Severity::Warning, code, text));
    }
}

/// A user or a group.
#[derive(Debug, Serialize)]
pub(crate) struct Id {
    pub(crate) id: u32,
    pub(crate) name: Option<String>,
}

/// The process behind a socket.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: Option<String>,
}

/// What is wrong, or worth a remark.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// A word for machines that stays the same.
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn new(severity: Severity, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            text: text.into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
}
