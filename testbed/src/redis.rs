//! Redis servers: real ones, each in a folder of its own and gone with its owner.

mod certificates;
mod cluster;
mod sentinel;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisResult, ToRedisArgs};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

pub use self::certificates::Certificates;
pub use self::cluster::RedisCluster;
pub use self::sentinel::RedisSentinel;
pub use self::servers::RedisServers;
use crate::patience::within;
use crate::place::{server_port, socket_folder};
use crate::process::Process;
use crate::skip::skip_missing;

/// Between two questions of who waits.
const PAUSE: Duration = Duration::from_millis(5);

/// A Redis server on loopback. It is killed when this is dropped, and when the thread that started it ends.
///
/// It keeps nothing on disk unless asked, and a test may stop it and start it again.
#[derive(Debug)]
pub struct Redis {
    /// What it is started with, without the program.
    arguments: Vec<String>,
    process: Process,
    port: u16,
    password: Option<String>,
    certificates: Option<Certificates>,
    /// Here last: it goes after the process.
    folder: TempDir,
}

/// How a Redis server is to be.
#[derive(Debug)]
pub struct RedisBuilder {
    arguments: Vec<String>,
    port: u16,
    password: Option<String>,
    certificates: Option<Certificates>,
    is_replica: bool,
    folder: TempDir,
}

impl Redis {
    /// A server without a password. `None` where there is no `redis-server`, which is noted for the test.
    ///
    /// # Panics
    /// When there is none and `CI` is set, and when it does not answer.
    pub async fn start(test: &str) -> Option<Self> {
        Self::builder().start(test).await
    }

    /// A server that is more than that.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn builder() -> RedisBuilder {
        let (port, folder) = (server_port(), socket_folder());
        let builder = RedisBuilder {
            arguments: Vec::new(),
            port,
            password: None,
            certificates: None,
            is_replica: false,
            folder,
        };
        let dir = builder.folder.path().display().to_string();
        let socket = socket(builder.folder.path()).display().to_string();
        builder
            .option("port", &[&port.to_string()])
            .option("bind", &["127.0.0.1"])
            .option("dir", &[&dir])
            .option("unixsocket", &[&socket])
            .option("save", &[""])
            // A replica gets what there is at once, not five seconds later.
            .option("repl-diskless-sync-delay", &["0"])
    }

    /// Where it listens: `127.0.0.1` with its port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a client needs to speak TLS with it; its [`folder`](Self::folder) has them as files.
    ///
    /// # Panics
    /// When it does not speak TLS.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.certificates
            .as_ref()
            .expect("a server that speaks TLS")
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it answers to a command, as [`redis::Value`] or what can be made of that. A connection of its own goes through
    /// the server's Unix socket, past TLS and proxies, as the user who may do everything.
    ///
    /// # Panics
    /// When it answers with an error or something else.
    pub async fn command<T: FromRedisValue>(&self, words: &[impl ToRedisArgs + Sync]) -> T {
        let answer = self.try_command(words).await;
        answer.unwrap_or_else(|error| panic!("ask {}: {error}", self.host()))
    }

    /// The same, for what may fail.
    ///
    /// # Errors
    /// What it answers with, and when it does not run.
    ///
    /// # Panics
    /// When it does not answer within [`patience`](crate::patience).
    pub async fn try_command<T: FromRedisValue>(
        &self,
        words: &[impl ToRedisArgs + Sync],
    ) -> RedisResult<T> {
        let ask = async {
            let mut connection = self.connect().await?;
            let mut command = Cmd::new();
            for word in words {
                command.arg(word);
            }
            command.query_async(&mut connection).await
        };
        within("an answer of Redis", ask).await
    }

    /// Stops it as an administrator does (SIGTERM).
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Kills it (SIGKILL).
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill(&mut self) {
        if self.process.is_running() {
            self.process.signal(crate::Signal::KILL);
        }
        self.process.end().await;
    }

    /// Starts it after a stop or a kill: at the same port, as it was set up, with what it has on disk.
    ///
    /// # Panics
    /// When it has not ended, and when it does not answer.
    pub async fn start_again(&mut self) {
        assert!(!self.process.is_running(), "{} still runs", self.host());
        self.process = spawn(&self.arguments);
        self.answers(&["PING"], "PONG").await;
    }

    /// Waits until its answer to a command has a text.
    ///
    /// # Panics
    /// When it ends, or has another answer for as long as [`patience`](crate::patience) lasts.
    pub(crate) async fn answers(&mut self, words: &[&str], expected: &str) {
        let wait = async {
            loop {
                match self.try_command::<String>(words).await {
                    Ok(answer) if answer.contains(expected) => return,
                    _ => sleep(PAUSE).await,
                }
                let log = self.process.log();
                assert!(self.process.is_running(), "redis-server ended:\n{log}");
            }
        };
        within(expected, wait).await;
    }

    async fn connect(&self) -> RedisResult<redis::aio::MultiplexedConnection> {
        let socket = socket(self.folder()).display().to_string();
        let url = match &self.password {
            None => format!("unix://{socket}"),
            Some(password) => format!("unix://{socket}?pass={password}"),
        };
        redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await
    }
}

impl RedisBuilder {
    /// Only who knows a password gets in, as the default user. Letters and digits, please.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.option("requirepass", &[password])
    }

    /// Another user gets in, too, and may do everything.
    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Self {
        let password = format!(">{password}");
        self.option("user", &[name, "on", &password, "~*", "&*", "+@all"])
    }

    /// It speaks TLS and nothing else. Clients may show a certificate.
    ///
    /// # Panics
    /// When certificates cannot be made.
    #[must_use]
    pub fn tls(self) -> Self {
        self.encrypted("optional")
    }

    /// It speaks TLS and nothing else, with clients that show the certificate it made for them.
    ///
    /// # Panics
    /// As [`tls`](Self::tls).
    #[must_use]
    pub fn mutual_tls(self) -> Self {
        self.encrypted("yes")
    }

    /// Every write is on disk before it is answered, and there after a restart.
    #[must_use]
    pub fn append_only(self) -> Self {
        self.option("appendonly", &["yes"])
            .option("appendfsync", &["always"])
    }

    /// It has what another server has, which is without TLS, and takes no writes.
    #[must_use]
    pub fn replica_of(mut self, primary: &Redis) -> Self {
        self.is_replica = true;
        let port = primary.port.to_string();
        let replica = self.option("replicaof", &["127.0.0.1", &port]);
        match &primary.password {
            None => replica,
            Some(password) => replica.option("masterauth", &[password]).password(password),
        }
    }

    /// A line of its configuration; the last of a name counts.
    #[must_use]
    pub fn option(mut self, name: &str, values: &[&str]) -> Self {
        self.arguments.push(format!("--{name}"));
        self.arguments
            .extend(values.iter().map(|value| (*value).to_owned()));
        self
    }

    /// Starts it. `None` where there is no `redis-server`, which is noted for the test.
    ///
    /// # Panics
    /// When there is none and `CI` is set, and when it does not answer.
    pub async fn start(self, test: &str) -> Option<Redis> {
        if !is_there(test) {
            return None;
        }
        Some(self.start_there().await)
    }

    fn encrypted(mut self, clients: &str) -> Self {
        let folder = self.folder.path().to_owned();
        let file = |name| folder.join(name).display().to_string();
        self.certificates = Some(Certificates::make(&folder));
        let port = self.port.to_string();
        self.option("port", &["0"])
            .option("tls-port", &[&port])
            .option("tls-auth-clients", &[clients])
            .option("tls-ca-cert-file", &[&file("ca.pem")])
            .option("tls-cert-file", &[&file("server.pem")])
            .option("tls-key-file", &[&file("server.key")])
    }

    /// It is a sentinel, by a configuration that it writes to itself, too.
    fn sentinel(mut self, configuration: &str) -> Self {
        let path = self.folder.path().join("sentinel.conf");
        fs::write(&path, configuration).expect("write the configuration of a sentinel");
        let words = [path.display().to_string(), "--sentinel".to_owned()];
        self.arguments.splice(0..0, words);
        self
    }

    /// Starts it where `redis-server` is known to be there.
    async fn start_there(self) -> Redis {
        let mut redis = Redis {
            process: spawn(&self.arguments),
            arguments: self.arguments,
            port: self.port,
            password: self.password,
            certificates: self.certificates,
            folder: self.folder,
        };
        redis.answers(&["PING"], "PONG").await;
        if self.is_replica {
            let words = ["INFO", "replication"];
            redis.answers(&words, "master_link_status:up").await;
        }
        redis
    }
}

/// Whether there is a `redis-server`; what is missing is noted for the test.
fn is_there(test: &str) -> bool {
    let mut probe = process::Command::new("redis-server");
    probe
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let is_there = probe.status().is_ok_and(|status| status.success());
    if !is_there {
        skip_missing(
            test,
            "redis-server",
            "`apt-get install redis-server`, or your system's package of that name",
        );
    }
    is_there
}

/// Starts a server that does not outlive us, however we end: `setpriv` is of util-linux.
fn spawn(arguments: &[String]) -> Process {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "redis-server"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Process::spawn(&mut command)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("redis.sock")
}

#[cfg(test)]
mod tests;
