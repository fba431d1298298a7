//! Runtimes that share a component: two processes, one instance name, a `consumerID` each.

use std::path::PathBuf;
use std::process::Stdio;

use dapr_pluggable_testbed::{Peer, Process, Signal, eventually_equal, within};
use dapr_pluggable_testbed::{skip, socket_folder, unique};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};

use crate::program::{serve, text};

/// A message that says nothing.
const TRIAL: &str = "trial";

/// A runtime that does what it is told.
struct Session {
    process: Process,
    commands: ChildStdin,
    told: usize,
}

/// A component, and what its runtimes share.
struct Shared {
    peer: Peer,
    component: Process,
    socket: PathBuf,
    instance: String,
    metadata: Vec<String>,
    _folder: TempDir,
}

impl Shared {
    async fn memory(peer: Peer) -> Self {
        let folder = socket_folder();
        let component = serve(folder.path(), &["memory"]).await;
        Self::new(peer, component, folder, "memory", Vec::new())
    }

    async fn sqlite(peer: Peer) -> Self {
        let folder = socket_folder();
        let component = serve(folder.path(), &["sqlite"]).await;
        let database = folder.path().join("shared.db");
        let metadata = vec![format!("connectionString={}", text(&database))];
        Self::new(peer, component, folder, "sqlite", metadata)
    }

    /// Where processes have numbers of their own, as in a container: those of its callers are hidden from it.
    async fn contained(peer: Peer, test: &str) -> Option<Self> {
        let contain = || {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--pid", "--fork"]);
            command.args(["--kill-child", "--"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let trial = contain().arg("true").output().await;
        if !trial.is_ok_and(|trial| trial.status.success()) {
            skip(test, "no namespaces of processes here");
            return None;
        }
        let folder = socket_folder();
        let mut command = contain();
        command
            .args([env!("CARGO_BIN_EXE_pluggable"), "serve", "memory"])
            .arg("--sockets-folder")
            .arg(folder.path());
        let component = Process::spawn(&mut command);
        component.says("serving").await;
        Some(Self::new(peer, component, folder, "memory", Vec::new()))
    }

    fn new(
        peer: Peer,
        component: Process,
        folder: TempDir,
        name: &str,
        metadata: Vec<String>,
    ) -> Self {
        Self {
            peer,
            component,
            socket: folder.path().join(format!("{name}.sock")),
            instance: unique("shared"),
            metadata,
            _folder: folder,
        }
    }

    fn start(&self, consumer: &str) -> Session {
        let mut command = self.peer.command(["session", "--socket"]);
        command
            .arg(&self.socket)
            .args(["--instance", &self.instance]);
        command.args(["--metadata", &format!("consumerID={consumer}")]);
        for entry in &self.metadata {
            command.args(["--metadata", entry]);
        }
        Session::new(&mut command)
    }
}

impl Session {
    fn new(command: &mut Command) -> Self {
        let mut process = Process::spawn(command);
        let commands = process.stdin().unwrap();
        Self {
            process,
            commands,
            told: 0,
        }
    }

    /// Has it do something, and gives what that gave.
    async fn does(&mut self, command: &str) -> Value {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.unwrap();
        self.told += 1;
        eventually_equal(command, self.told, async || self.lines("did").len()).await;
        let done = self.lines("did").pop().unwrap();
        assert_eq!(done["did"], command);
        assert_eq!(done["error"], Value::Null, "{done}\n{}", self.process.log());
        done["result"].clone()
    }

    fn lines(&self, key: &str) -> Vec<Value> {
        let lines = self.process.stdout();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| !line[key].is_null()).collect()
    }

    /// Subscribes, and waits until it receives: it is not seen from elsewhere when a subscription is there.
    async fn pulls(&mut self, topic: &str) {
        let before = self.lines("message").len();
        self.does(&format!("pull {topic}")).await;
        while self.lines("message").len() == before {
            self.does(&format!("publish {topic} {TRIAL}")).await;
        }
    }

    /// The messages that it got, from the first on, without trials.
    async fn has(&self, messages: &[&str]) {
        let what = format!("the messages are {messages:?}");
        eventually_equal(&what, json!(messages), async || {
            let lines = self.lines("message");
            let messages = lines.iter().map(|line| line["message"].clone());
            messages.filter(|message| message != TRIAL).collect()
        })
        .await;
    }

    /// It ends without a word.
    async fn killed(mut self) {
        self.process.signal(Signal::KILL);
        self.process.end().await;
    }

    async fn end(mut self) {
        drop(self.commands);
        assert_eq!(self.process.code().await, 0, "{}", self.process.log());
    }
}

#[tokio::test]
async fn two_runtimes_share_memory() {
    if let Some(peer) = Peer::go("two_runtimes_share_memory").await {
        check_two(&Shared::memory(peer).await).await;
    }
}

#[tokio::test]
async fn two_runtimes_share_sqlite() {
    if let Some(peer) = Peer::go("two_runtimes_share_sqlite").await {
        check_two(&Shared::sqlite(peer).await).await;
    }
}

#[tokio::test]
async fn two_runtimes_share_a_container() {
    let test = "two_runtimes_share_a_container";
    if let Some(peer) = Peer::go(test).await
        && let Some(shared) = Shared::contained(peer, test).await
    {
        check_two(&shared).await;
    }
}

/// They receive through each other's Init, Pause and end.
async fn check_two(shared: &Shared) {
    let (mut one, mut two) = (shared.start("one"), shared.start("two"));
    one.does("init").await;
    one.pulls("news").await;
    one.does("publish news 1").await;
    one.has(&["1"]).await;
    // The other's Init names another group, and this one's stream does not notice.
    two.does("init").await;
    two.pulls("news").await;
    one.does("publish news 2").await;
    one.has(&["1", "2"]).await;
    two.has(&["2"]).await;

    one.does("pause").await;
    two.does("publish news 3").await;
    two.has(&["2", "3"]).await;
    one.has(&["1", "2"]).await;
    // The paused one still calls.
    one.does("publish news 4").await;
    two.has(&["2", "3", "4"]).await;
    one.has(&["1", "2"]).await;
    one.does("resume").await;
    one.has(&["1", "2", "3", "4"]).await;

    // A runtime that stops pauses, and ends.
    two.does("pause").await;
    two.end().await;
    one.does("publish news 5").await;
    one.has(&["1", "2", "3", "4", "5"]).await;

    // It starts again, and finds what its group has not had.
    let mut two = shared.start("two");
    two.does("init").await;
    two.pulls("news").await;
    two.has(&["5"]).await;
    // A new Init of the same runtime, with its streams closed first.
    two.does("leave").await;
    two.does("init").await;
    two.pulls("news").await;
    two.does("publish news 6").await;
    two.has(&["5", "6"]).await;
    one.has(&["1", "2", "3", "4", "5", "6"]).await;

    // The other one is killed, and starts again as well.
    one.killed().await;
    two.does("publish news 7").await;
    two.has(&["5", "6", "7"]).await;
    let mut one = shared.start("one");
    one.does("init").await;
    one.pulls("news").await;
    one.has(&["7"]).await;
    two.does("publish news 8").await;
    two.has(&["5", "6", "7", "8"]).await;
    one.has(&["7", "8"]).await;
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn a_runtime_whose_channel_idled_out_comes_back_without_init() {
    let test = "a_runtime_whose_channel_idled_out_comes_back_without_init";
    if let Some(peer) = Peer::go(test).await {
        check_idle(&Shared::memory(peer).await).await;
    }
}

#[tokio::test]
async fn it_comes_back_to_a_container_without_init() {
    let test = "it_comes_back_to_a_container_without_init";
    if let Some(peer) = Peer::go(test).await
        && let Some(shared) = Shared::contained(peer, test).await
    {
        check_idle(&shared).await;
        let log = shared.component.log();
        assert!(!log.contains("no Init received"), "{log}");
    }
}

async fn check_idle(shared: &Shared) {
    let mut one = shared.start("one");
    one.does("init").await;
    one.does("set k v").await;
    for _ in 0..2 {
        within("the channel idles out", one.does("idle")).await;
        assert_eq!(one.does("get k").await, "v");
    }
    // So does a new process, for as long as the instance is there.
    let mut two = shared.start("two");
    assert_eq!(two.does("get k").await, "v");
    two.does("set k w").await;
    two.end().await;
    assert_eq!(one.does("get k").await, "w");
    one.end().await;
}
