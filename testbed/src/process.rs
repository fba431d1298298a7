//! Child processes: owned, listened to, and ended by their id.

use std::fs;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::patience::{patience, within};

/// A child process and what it has said. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: watch::Receiver<Vec<Line>>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Line {
    stream: Stream,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Process {
    /// Starts a command. What it says is kept where the command has `Stdio::piped()` for it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let (sender, lines) = watch::channel(Vec::new());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(read(stdout, Stream::Stdout, sender.clone())));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(read(stderr, Stream::Stderr, sender)));
        }
        Self {
            child,
            lines,
            readers,
        }
    }

    /// Waits for a line that contains a text, on standard output or error, and gives it. Lines from before the call
    /// count.
    ///
    /// # Panics
    /// When it ends without having said so, or says nothing of the kind within [`patience`].
    pub async fn says(&self, text: &str) -> String {
        let mut lines = self.lines.clone();
        let found = |line: &&Line| line.text.contains(text);
        let said = timeout(
            patience(),
            lines.wait_for(|lines| lines.iter().any(|line| found(&line))),
        )
        .await
        .ok()
        .and_then(Result::ok)
        .and_then(|lines| lines.iter().find(found).map(|line| line.text.clone()));
        said.unwrap_or_else(|| panic!("it never said {text:?}:\n{}", self.log()))
    }

    /// Waits for a line of its log that has a field, as in `address=127.0.0.1:80`, and gives the value.
    ///
    /// # Panics
    /// As [`says`](Self::says).
    pub async fn says_field(&self, name: &str) -> String {
        let field = format!("{name}=");
        let line = self.says(&field).await;
        let value = line.split(&field).nth(1).unwrap_or_default();
        value.split_whitespace().next().unwrap_or_default().into()
    }

    /// What it has said, standard output and error as the lines came.
    #[must_use]
    pub fn log(&self) -> String {
        self.text(|_| true)
    }

    /// What it has written to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text(|stream| stream == Stream::Stdout)
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text(|stream| stream == Stream::Stderr)
    }

    /// Its standard input, where the command has `Stdio::piped()` for it; `None` the second time.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its id.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process has ended")
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system does not know.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at a child").is_none()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("send a signal");
    }

    /// Lets it have no more than so many descriptors from now on.
    ///
    /// # Panics
    /// When it has ended, or was allowed fewer before.
    pub fn limit_descriptors(&self, most: u64) {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("limit descriptors");
    }

    /// A field of what the system says of it in `/proc`, such as `SigCgt`.
    ///
    /// # Panics
    /// When it has ended, and when there is no such field.
    #[must_use]
    pub fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("read the status of a process");
        let mut fields = status.lines().filter_map(|line| line.split_once(':'));
        let value = fields.find_map(|(name, value)| (name == field).then_some(value));
        let value = value.unwrap_or_else(|| panic!("{field} is not in:\n{status}"));
        value.trim().to_owned()
    }

    /// A field that is an amount of memory, such as `VmRSS` (resident now) or `VmHWM` (at most so far), in bytes.
    ///
    /// # Panics
    /// As [`status`](Self::status), and when the field is something else.
    #[must_use]
    pub fn memory(&self, field: &str) -> u64 {
        let amount = self.status(field);
        let kilobytes = amount.strip_suffix(" kB").expect("an amount of memory");
        kilobytes.parse::<u64>().expect("an amount of memory") << 10
    }

    /// The CPU time of all its threads so far, in user mode and in the kernel.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()));
        let stat = stat.expect("read what a process has used");
        // The name of the program is in parentheses and may hold anything; `utime` and `stime` are the fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(|field| field.parse::<u64>().expect("an amount of time"))
            .sum();
        Duration::from_secs(ticks).div_f64(clock_ticks_per_second() as f64)
    }

    /// Waits until it ends, and for its last words.
    ///
    /// # Panics
    /// When it does not end within [`patience`].
    pub async fn end(&mut self) -> ExitStatus {
        let status = within("the end of a process", self.child.wait()).await;
        for reader in self.readers.drain(..) {
            within("the end of what a process says", reader)
                .await
                .expect("read what a process says");
        }
        status.expect("wait for a child")
    }

    /// Waits until it ends and gives its exit code, -1 for the end by a signal.
    ///
    /// # Panics
    /// As [`end`](Self::end).
    pub async fn code(&mut self) -> i32 {
        self.end().await.code().unwrap_or(-1)
    }

    /// Asks it to stop (SIGTERM), kills it when it does not within [`patience`], and gives how it ended.
    ///
    /// # Panics
    /// As [`end`](Self::end).
    pub async fn stop(&mut self) -> ExitStatus {
        self.stop_within(patience()).await
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        id.expect("the id of a process")
    }

    async fn stop_within(&mut self, grace: Duration) -> ExitStatus {
        if self.is_running() {
            self.signal(Signal::TERM);
            if timeout(grace, self.child.wait()).await.is_err() {
                self.signal(Signal::KILL);
            }
        }
        self.end().await
    }

    fn text(&self, is_wanted: impl Fn(Stream) -> bool) -> String {
        let lines = self.lines.borrow();
        let wanted = lines.iter().filter(|line| is_wanted(line.stream));
        wanted.map(|line| format!("{}\n", line.text)).collect()
    }
}

async fn read(source: impl AsyncRead + Unpin, stream: Stream, log: watch::Sender<Vec<Line>>) {
    let mut lines = BufReader::new(source).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        log.send_modify(|log| log.push(Line { stream, text }));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    use super::*;
    use crate::patience::eventually;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Process::spawn(&mut command)
    }

    #[tokio::test]
    async fn it_hears_both_streams_and_the_end() {
        let mut process = shell("echo first; read line; echo last >&2; exit 3");
        assert_eq!(process.says("first").await, "first");
        assert!(process.is_running());
        drop(process.stdin());
        assert_eq!(process.code().await, 3);
        assert_eq!(process.stdout(), "first\n");
        assert_eq!(process.stderr(), "last\n");
        assert_eq!(process.log(), "first\nlast\n");
    }

    #[tokio::test]
    #[should_panic(expected = "it never said \"second\":\nfirst\n")]
    async fn it_does_not_wait_for_who_has_ended() {
        shell("echo first").says("second").await;
    }

    #[tokio::test]
    async fn it_is_seen_and_limited_while_it_runs() {
        let process = shell("echo at address=127.0.0.1:1 now; read line; exec tail -f /dev/null");
        assert_eq!(process.says_field("address").await, "127.0.0.1:1");
        assert_eq!(process.status("Name"), "sh");
        let resident = process.memory("VmRSS");
        assert!((1..=process.memory("VmHWM")).contains(&resident));
        process.limit_descriptors(7);
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let fields: Vec<&str> = line.unwrap().split_whitespace().collect();
        assert_eq!(fields[3..5], ["7", "7"]);
    }

    #[tokio::test]
    async fn what_it_uses_of_the_cpu_is_known() {
        let busy = shell("while :; do :; done");
        let used = async || busy.cpu_time() >= Duration::from_millis(50);
        eventually("it uses the CPU", used).await;
    }

    #[tokio::test]
    async fn who_does_not_stop_is_killed() {
        let mut process = shell("trap '' TERM; echo deaf; exec tail -f /dev/null");
        process.says("deaf").await;
        let status = process.stop_within(Duration::from_millis(10)).await;
        assert_eq!(status.signal(), Some(9));

        let mut process = shell("echo here; exec tail -f /dev/null");
        process.says("here").await;
        assert_eq!(process.stop().await.signal(), Some(15));
        assert_eq!(process.stop().await.signal(), Some(15));
    }
}
