//! Runtimes that share a component: two processes, one instance name, a `consumerID` each.

use std::path::Path;

use dapr_pluggable_testbed::{Peer, Process, eventually_equal, within};
use dapr_pluggable_testbed::{socket_folder, unique};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use crate::program::{serve, text};

/// A message that says nothing.
const TRIAL: &str = "trial";

/// A runtime that does what it is told.
struct Session {
    process: Process,
    commands: ChildStdin,
    told: usize,
}

impl Session {
    fn start(peer: &Peer, socket: &Path, instance: &str, consumer: &str) -> Self {
        let mut command = peer.command(["session", "--socket", text(socket)]);
        command.args(["--instance", instance]);
        command.args(["--metadata", &format!("consumerID={consumer}")]);
        let mut process = Process::spawn(&mut command);
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

    async fn end(mut self) {
        drop(self.commands);
        assert_eq!(self.process.code().await, 0, "{}", self.process.log());
    }
}

#[tokio::test]
async fn two_runtimes_receive_through_each_others_init_pause_and_end() {
    let test = "two_runtimes_receive_through_each_others_init_pause_and_end";
    let Some(peer) = Peer::go(test).await else {
        return;
    };
    let folder = socket_folder();
    let component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    let instance = unique("shared");
    let start = |consumer| Session::start(&peer, &socket, &instance, consumer);

    let (mut one, mut two) = (start("one"), start("two"));
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
    let mut two = start("two");
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
    one.end().await;
    two.does("publish news 7").await;
    two.has(&["5", "6", "7"]).await;
    two.end().await;
    drop(component);
}

#[tokio::test]
async fn a_runtime_whose_channel_idled_out_comes_back_without_init() {
    let test = "a_runtime_whose_channel_idled_out_comes_back_without_init";
    let Some(peer) = Peer::go(test).await else {
        return;
    };
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    let instance = unique("idle");
    let start = |consumer| Session::start(&peer, &socket, &instance, consumer);

    let mut one = start("one");
    one.does("init").await;
    one.does("set k v").await;
    for _ in 0..2 {
        within("the channel idles out", one.does("idle")).await;
        assert_eq!(one.does("get k").await, "v");
    }
    // So does a new process, for as long as the instance is there.
    let mut two = start("two");
    assert_eq!(two.does("get k").await, "v");
    two.does("set k w").await;
    two.end().await;
    assert_eq!(one.does("get k").await, "w");
    one.end().await;
}
