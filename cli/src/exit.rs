//! How a verb ends: exit codes, and errors as people see them.
//!
//! The codes are part of what the program promises; the help of each verb lists those that it has.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

/// What was asked for failed, or something is wrong.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense; clap uses the same.
pub(crate) const USAGE: u8 = 2;
/// What was asked for is not there.
pub(crate) const NOTHING: u8 = 3;
/// COMMAND is there but cannot be started, as a shell has it.
pub(crate) const NOT_STARTED: u8 = 126;
/// There is no such COMMAND, as a shell has it.
pub(crate) const NO_COMMAND: u8 = 127;

/// An error with an exit code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The command line makes no sense, in a way that clap does not see.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Says on standard error what went wrong, and gives the exit code.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {}", describe(error));
    let code = error
        .downcast_ref::<Failure>()
        .map_or(FAILED, |failure| failure.code);
    ExitCode::from(code)
}

/// An error with its causes, without those that are in its text already.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The exit code that says the same as the end of another process: its own, or 128 and the signal that ended it.
pub(crate) fn code_of(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(FAILED))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let cause = io::Error::other("disk on fire");
        let error = Err::<(), _>(cause).context("read the file").unwrap_err();
        assert_eq!(describe(&error), "read the file: disk on fire");
        let cause = io::Error::other("disk on fire");
        let error = Err::<(), _>(cause)
            .context("read the file: disk on fire")
            .unwrap_err();
        assert_eq!(describe(&error), "read the file: disk on fire");
    }

    #[test]
    fn the_end_by_a_signal_is_told_as_shells_do() {
        let code = |raw| format!("{:?}", code_of(ExitStatus::from_raw(raw)));
        assert_eq!(code(7 << 8), format!("{:?}", ExitCode::from(7)));
        assert_eq!(code(15), format!("{:?}", ExitCode::from(143)));
    }
}
