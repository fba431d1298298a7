//! A temporary folder with a database, and the plain `sqlite3` program to look at it.

use std::process::Command;

use dapr_pluggable_testbed::eventually_equal;
use tempfile::TempDir;

use crate::lock::Lock;

/// A folder with one database, removed at the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The connection string of the database.
    pub(crate) fn database(&self) -> String {
        self.file("data.db")
    }

    /// The path of a file in the folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Has another process hold the lock for writing.
    pub(crate) async fn lock(&self) -> Lock {
        Lock::hold(self).await
    }

    /// Runs SQL in the plain program and gives what it prints.
    pub(crate) fn sqlite3(&self, sql: &str) -> String {
        let output = Command::new("sqlite3")
            .args(["-batch", "-bail", "-cmd", ".timeout 10000"])
            .args([self.database().as_str(), sql])
            .output()
            .expect("this test needs the program sqlite3: apt-get install sqlite3");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Waits until SQL gives a text.
    pub(crate) async fn eventually(&self, sql: &str, expected: &str) {
        eventually_equal(sql, expected.to_owned(), async || self.sqlite3(sql)).await;
    }
}
