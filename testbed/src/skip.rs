//! Tests that do not run, and tests that run longer.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// Notes that a test, or a part of it, does not run here. `cargo xtask test` shows the note at its end, by way of the
/// file that the environment variable `TEST_SKIPPED` names.
///
/// # Panics
/// When the note cannot be written.
#[expect(clippy::print_stderr, reason = "the note is for people too")]
pub fn skip(test: &str, reason: &str) {
    let note = format!("skipped: {test}: {reason}\n");
    eprint!("{note}");
    if let Some(path) = env::var_os("TEST_SKIPPED") {
        append(Path::new(&path), &note).unwrap_or_else(|error| {
            panic!("note a skipped test in {}: {error}", path.display());
        });
    }
}

/// Notes that a test does not run because a server or a program is not there, and how to get it. Continuous integration
/// has everything, so it is told instead.
///
/// # Panics
/// When `CI` is set in the environment.
pub fn skip_missing(test: &str, what: &str, how: &str) {
    assert!(
        env::var_os("CI").is_none(),
        "{test} needs {what}, and CI is set: {how}"
    );
    skip(test, &format!("{what} is missing: {how}"));
}

/// How many rounds a test goes that repeats something: `few`, times the number in the environment variable
/// `TEST_ROUNDS_FACTOR`, which `cargo xtask test --soak` sets.
///
/// # Panics
/// When that is no whole number.
#[must_use]
pub fn rounds(few: u32) -> u32 {
    match env::var("TEST_ROUNDS_FACTOR") {
        Ok(factor) => {
            let factor: u32 = factor.parse().unwrap_or_else(|_| {
                panic!("TEST_ROUNDS_FACTOR is {factor:?}: expected a whole number, such as 10")
            });
            few.saturating_mul(factor)
        }
        Err(_) => few,
    }
}

/// One write of one line: tests of several processes do not mix theirs.
fn append(path: &Path, note: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(note.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_one_after_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }
}
