//! A lock that another process holds.

use std::process::Stdio;

use dapr_pluggable_testbed::{Process, eventually, unique, within};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};

use crate::folder::Folder;

/// A `sqlite3` process that holds the lock for writing until it is released or dropped.
pub(crate) struct Lock {
    process: Process,
    input: ChildStdin,
}

impl Lock {
    pub(crate) async fn hold(folder: &Folder) -> Self {
        let mut process = Process::spawn(
            Command::new("sqlite3")
                .arg(folder.database())
                .stdin(Stdio::piped()),
        );
        let mut input = process.stdin().unwrap();
        // It writes to a pipe only when it ends; a file it writes when it leaves it.
        let marker = folder.file(&unique("locked"));
        let script = format!("BEGIN IMMEDIATE;\n.output '{marker}'\nSELECT 1;\n.output\n");
        within("sqlite3", input.write_all(script.as_bytes()))
            .await
            .unwrap();
        eventually("the lock", async || {
            std::fs::read(&marker).is_ok_and(|text| !text.is_empty())
        })
        .await;
        Self { process, input }
    }

    pub(crate) async fn release(self) {
        let Self { mut process, input } = self;
        drop(input);
        assert!(process.end().await.success());
    }
}
