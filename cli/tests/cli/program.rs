//! The program as a process.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use dapr_pluggable_testbed::Process;
use tokio::process::Command;

/// The program, with an environment that has nothing but the search path, and nobody at its standard input.
pub(crate) fn pluggable(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pluggable"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) async fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    let mut process = Process::spawn(&mut pluggable(arguments));
    let code = process.code().await;
    Ended {
        code,
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

/// What a run has left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Serves components in a folder, and waits until they are served.
pub(crate) async fn serve(folder: &Path, arguments: &[&str]) -> Process {
    let mut command = pluggable(["serve", "--sockets-folder"]);
    command.arg(folder).args(arguments);
    let process = Process::spawn(&mut command);
    process.says("serving").await;
    process
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
