//! A component with the arguments that a file gives it, and the commands that the file asks it with.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use dapr_pluggable_testbed::{Process, Signal, socket_folder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Where the program is in the image, and where the unit expects it.
const PROGRAM: &str = "/usr/local/bin/pluggable";
/// How long values may take to close, after calls have ended.
const CLOSING: Duration = Duration::from_secs(5);

/// Its start, probe and stop, all with real processes: the arguments are those of the component's program or, in front of
/// them, `serve` and the component.
pub(crate) async fn start_ask_and_stop(arguments: &[String], probe: &[String]) {
    let folder = socket_folder();
    assert_eq!(ask(&folder, probe).await, 1, "nobody serves yet");
    let waits = probe.iter().any(|word| word == "--wait");
    let mut waiting = waits.then(|| Process::spawn(&mut command(&folder, probe)));
    let mut component = Process::spawn(&mut command(&folder, &serve(arguments)));
    component.says("state.sqlite-fast").await;
    if let Some(waiting) = &mut waiting {
        assert_eq!(waiting.code().await, 0, "{}", waiting.log());
    }
    assert_eq!(ask(&folder, probe).await, 0);
    component.signal(Signal::TERM);
    assert_eq!(component.code().await, 0, "{}", component.log());
}

/// Whether a stop has the time that it may take.
pub(crate) fn check_grace(arguments: &[String], grace: Duration) {
    let linger = seconds(flag(arguments, "--shutdown-linger"));
    let drain = seconds(flag(arguments, "--drain-cap"));
    let needed = linger + drain + CLOSING;
    assert!(grace > needed, "{grace:?} is not more than {needed:?}");
}

/// What the resource file must say for the component to be found, and what the component must be called.
pub(crate) fn check_names(component: &Value, arguments: &[String], probe: &[String]) {
    let name = flag(arguments, "--as");
    assert_eq!(component["spec"]["type"], format!("state.{name}"));
    assert_eq!(component["spec"]["version"], "v1");
    assert_eq!(probe.last().map(String::as_str), Some(name));
    assert_eq!(probe[..2], [PROGRAM, "health"]);
    let connection = &component["spec"]["metadata"][0];
    assert_eq!(connection["name"], "connectionString");
}

/// The value of a flag.
pub(crate) fn flag<'a>(arguments: &'a [String], name: &str) -> &'a str {
    let mut words = arguments.iter().skip_while(|word| *word != name).skip(1);
    let value = words.next().map(String::as_str);
    value.unwrap_or_else(|| panic!("{arguments:?} has no {name}"))
}

/// A number of seconds such as 20s.
pub(crate) fn seconds(text: &str) -> Duration {
    let number = text
        .strip_suffix('s')
        .and_then(|number| number.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("{text:?} is no number of seconds")))
}

fn serve(arguments: &[String]) -> Vec<String> {
    if arguments.first().is_some_and(|word| word == PROGRAM) {
        return arguments.to_vec();
    }
    let words = [PROGRAM, "serve", "sqlite"].map(str::to_owned);
    words.into_iter().chain(arguments.iter().cloned()).collect()
}

/// Asks at once, without the wait of the command, and gives the exit code.
async fn ask(folder: &TempDir, probe: &[String]) -> i32 {
    let mut words = probe.to_vec();
    if let Some(at) = words.iter().position(|word| word == "--wait") {
        words.drain(at..at + 2);
    }
    Process::spawn(&mut command(folder, &words)).code().await
}

fn command(folder: &TempDir, words: &[String]) -> Command {
    assert_eq!(words[0], PROGRAM);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pluggable"));
    command
        .args(words[1..].iter().map(OsStr::new))
        .env_clear()
        .env("DAPR_COMPONENTS_SOCKETS_FOLDER", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
