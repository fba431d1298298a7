//! Programs in other gRPC stacks, from `testbed/peers`: built where their language is there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::skip::skip_missing;

/// How long a build may take, downloads included.
const BUILD_CAP: Duration = Duration::from_secs(600);
/// What components are written against.
const PROTOS: [&str; 5] = ["common", "state", "pubsub", "bindings", "secretstore"];

/// A program that is a component, or calls one, in another gRPC stack than ours. Its verbs are `serve`, `check` and
/// `session`; what it is told and says is in `testbed/peers/README.md`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The program and its first arguments.
    words: Vec<PathBuf>,
}

impl Peer {
    /// The peer in Go. `None` where that cannot be built, which is noted for the test.
    ///
    /// # Panics
    /// When it cannot be built and `CI` is set, and when it does not compile.
    pub async fn go(test: &str) -> Option<Self> {
        static PEER: OnceCell<Result<Peer, Missing>> = OnceCell::const_new();
        Self::found(test, PEER.get_or_init(|| build(go)).await)
    }

    /// The peer in Go, for what is no test.
    ///
    /// # Errors
    /// When it cannot be built, with what is missing.
    ///
    /// # Panics
    /// When it does not compile.
    pub async fn try_go() -> Result<Self, String> {
        let built = build(go).await;
        built.map_err(|missing| format!("{} is missing: {}", missing.what, missing.how))
    }

    /// The peer in Python. `None` where its packages are not there, which is noted for the test.
    ///
    /// # Panics
    /// When they are not and `CI` is set, and when its stubs cannot be generated.
    pub async fn python(test: &str) -> Option<Self> {
        static PEER: OnceCell<Result<Peer, Missing>> = OnceCell::const_new();
        Self::found(test, PEER.get_or_init(|| build(python)).await)
    }

    /// A command that runs it, with what it says for [`Process`](crate::Process).
    #[must_use]
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn found(test: &str, peer: &Result<Self, Missing>) -> Option<Self> {
        match peer {
            Ok(peer) => Some(peer.clone()),
            Err(missing) => {
                skip_missing(test, missing.what, &missing.how);
                None
            }
        }
    }
}

/// What a peer cannot be had for.
#[derive(Debug)]
struct Missing {
    what: &'static str,
    how: String,
}

/// Builds in a thread of its own; of several processes one at a time.
async fn build(make: fn(&Path) -> Result<Peer, Missing>) -> Result<Peer, Missing> {
    let work = tokio::task::spawn_blocking(move || {
        let built = testbed().join("../target/peers");
        fs::create_dir_all(&built).expect("create target/peers");
        let built = built.canonicalize().expect("find target/peers");
        let lock = File::create(built.join("lock")).expect("create a lock file");
        lock.lock().expect("lock target/peers");
        make(&built)
    });
    let built = timeout(BUILD_CAP, work).await;
    built
        .expect("build a peer in time")
        .expect("build a peer to the end")
}

fn go(built: &Path) -> Result<Peer, Missing> {
    // Where the system's is missing or too old, `cargo xtask test` installs one of our own.
    let own = testbed().join("../target/go/bin/go");
    let program = if own.is_file() { own } else { "go".into() };
    let go = |arguments: &[&str]| {
        let mut command = process::Command::new(&program);
        command
            .args(arguments)
            .current_dir(testbed().join("peers/go"))
            // A Go that is too old says so; it does not fetch another one.
            .env("GOTOOLCHAIN", "local");
        run(&mut command)
    };
    go(&["mod", "download"]).map_err(|error| Missing {
        what: "Go 1.24 or newer with the modules of testbed/peers/go",
        how: format!("install Go, and run `go mod download` there once with a network ({error})"),
    })?;
    let program = built.join("go-peer");
    let flag = format!("-o={}", program.display());
    go(&["build", "-buildvcs=false", "-trimpath", &flag, "."])
        .unwrap_or_else(|error| panic!("build testbed/peers/go: {error}"));
    Ok(Peer {
        words: vec![program],
    })
}

/// Puts its sources beside the stubs that are generated for it: there it finds them.
fn python(built: &Path) -> Result<Peer, Missing> {
    let environment = testbed().join("../target/python");
    if !environment.join("installed.txt").is_file() {
        return Err(Missing {
            what: "target/python",
            how: "`cargo xtask test` installs the packages where there is python3 with venv".into(),
        });
    }
    let (python, folder) = (environment.join("bin/python"), built.join("python"));
    fs::create_dir_all(&folder).expect("create the folder of the peer in Python");
    let sources = fs::read_dir(testbed().join("peers/python")).expect("list testbed/peers/python");
    for source in sources {
        let source = source.expect("list testbed/peers/python");
        fs::copy(source.path(), folder.join(source.file_name())).expect("copy the peer in Python");
    }
    let protos = testbed().join("../protocol/proto");
    let mut command = process::Command::new(&python);
    command
        .args([
            "-m",
            "grpc_tools.protoc",
            "--python_out=.",
            "--grpc_python_out=.",
            "-I",
        ])
        .arg(&protos)
        .args(PROTOS.map(|name| format!("dapr/proto/components/v1/{name}.proto")))
        .current_dir(&folder);
    run(&mut command).unwrap_or_else(|error| panic!("generate stubs in Python: {error}"));
    Ok(Peer {
        words: vec![python, folder.join("peer.py")],
    })
}

/// Runs a program to its end, and says what went wrong.
fn run(command: &mut process::Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn testbed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
