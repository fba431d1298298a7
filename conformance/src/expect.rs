//! What checks say of what they see.

use std::fmt::{Debug, Display};

use dapr_pluggable::{Error, ErrorKind, Result};
use tokio::task::JoinError;

use crate::check::{Finding, Verdict};

/// Something holds.
pub(crate) fn holds(what: impl Display, is_so: bool) -> Verdict {
    if is_so {
        Ok(())
    } else {
        Err(Finding::Failed(format!("expected {what}")))
    }
}

/// Two things are equal.
pub(crate) fn equal<T: PartialEq + Debug>(what: impl Display, found: T, expected: T) -> Verdict {
    if found == expected {
        Ok(())
    } else {
        Err(Finding::Failed(format!(
            "{what} is {found:?}, expected {expected:?}"
        )))
    }
}

/// A call fails as one of some kinds; gives the error.
pub(crate) fn refused<T: Debug>(
    what: impl Display,
    outcome: Result<T>,
    kinds: &[ErrorKind],
) -> Verdict<Error> {
    let names: Vec<&str> = kinds.iter().map(ErrorKind::as_str).collect();
    let names = names.join(" or ");
    match outcome {
        Ok(value) => Err(Finding::Failed(format!(
            "{what} gave {value:?}, expected an error ({names})"
        ))),
        Err(error) if kinds.contains(error.kind()) => Ok(error),
        Err(error) => Err(Finding::Failed(format!(
            "{what} gave an error ({}): {error}; expected one of kind {names}",
            error.kind().as_str()
        ))),
    }
}

/// A stream that its consumer closed ends without an error, or with none but that it was closed.
pub(crate) fn ended(what: impl Display, outcome: Option<Result<Result<()>, JoinError>>) -> Verdict {
    match outcome {
        Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) if *error.kind() == ErrorKind::Cancelled => Ok(()),
        other => Err(Finding::Failed(format!("{what} ended as {other:?}"))),
    }
}
