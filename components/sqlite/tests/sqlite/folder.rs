//! A temporary folder with a database, and the plain `sqlite3` program to look at it.

use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lock::Lock;

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

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

    /// Waits until a file is there and has something in it.
    pub(crate) async fn file_appears(&self, path: &str) {
        let begun = Instant::now();
        while std::fs::read(path).unwrap_or_default().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{path} does not appear");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
        let begun = Instant::now();
        loop {
            let found = self.sqlite3(sql);
            if found == expected {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{sql} still gives {found:?}, not {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
