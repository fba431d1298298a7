//! A lock that another process holds.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::folder::Folder;

/// A `sqlite3` process that holds the lock for writing until it is dropped.
pub(crate) struct Lock {
    process: Child,
    input: Option<ChildStdin>,
}

impl Lock {
    pub(crate) async fn hold(folder: &Folder) -> Self {
        let mut process = Command::new("sqlite3")
            .arg(folder.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs the program sqlite3: apt-get install sqlite3");
        let mut input = process.stdin.take().unwrap();
        let marker = folder.file(&uuid::Uuid::new_v4().to_string());
        writeln!(
            input,
            "BEGIN IMMEDIATE;\n.output '{marker}'\nSELECT 1;\n.output"
        )
        .unwrap();
        input.flush().unwrap();
        folder.file_appears(&marker).await;
        Self {
            process,
            input: Some(input),
        }
    }

    pub(crate) fn release(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
