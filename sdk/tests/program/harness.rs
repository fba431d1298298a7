//! Processes that end with their test, and what tests wait for.

use std::env;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::{ServerReflectionRequest, ServerReflectionResponse};
use tower::service_fn;

/// Says what a child of the test program serves.
pub(crate) const ROLE: &str = "PATIENT";
/// Long enough for a slow machine; what waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// A test that runs on a runtime of its own.
pub(crate) fn trial<F: Future<Output = ()>>(
    name: &'static str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(name, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// Waits until something is true.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let wait = async {
        while !is_true() {
            sleep(PAUSE).await;
        }
    };
    within(what, wait).await;
}

/// Waits for something that must come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// A folder that everybody may use.
pub(crate) fn folder() -> TempDir {
    let permissions = std::fs::Permissions::from_mode(0o777);
    tempfile::Builder::new()
        .permissions(permissions)
        .tempdir()
        .unwrap()
}

/// The component's program as a process. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    log: watch::Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// A command that has the test program serve these names.
    pub(crate) fn command(names: &str) -> Command {
        Self::command_of(&env::current_exe().unwrap(), names)
    }

    /// The same, of a copy of the test program.
    pub(crate) fn command_of(program: &Path, names: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env(ROLE, names)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, log) = watch::channel(String::new());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(read(stdout, sender.clone())));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(read(stderr, sender)));
        }
        Self {
            child,
            log,
            readers,
        }
    }

    /// Serves `patient` in a folder, and waits until it does.
    pub(crate) async fn serve(folder: &TempDir, arguments: &[&str]) -> Self {
        let mut command = Self::command("patient");
        command
            .arg("--sockets-folder")
            .arg(folder.path())
            .args(arguments);
        let mut program = Self::spawn(&mut command);
        program.logs("serving").await;
        program
    }

    /// Waits until it has said this.
    pub(crate) async fn logs(&mut self, text: &str) {
        let mut log = self.log.clone();
        let said = within(text, log.wait_for(|log| log.contains(text))).await;
        assert!(said.is_ok(), "it never said {text:?}:\n{}", self.log());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().unwrap()));
        kill_process(pid.unwrap(), signal).unwrap();
    }

    /// Waits until it ends, and for its last words.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let status = within("the end of a process", self.child.wait())
            .await
            .unwrap();
        for reader in &mut self.readers {
            within("the end of its log", reader).await.unwrap();
        }
        status
    }

    /// Waits until it ends and gives its exit code, -1 for the end by a signal.
    pub(crate) async fn code(&mut self) -> i32 {
        self.end().await.code().unwrap_or(-1)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

async fn read(stream: impl AsyncRead + Unpin, log: watch::Sender<String>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| {
            log.push_str(&line);
            log.push('\n');
        });
    }
}

pub(crate) fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("patient.sock")
}

pub(crate) async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket = socket.to_owned();
    let connect = service_fn(move |_| {
        let stream = UnixStream::connect(socket.clone());
        async { stream.await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
}

/// A call in flight: a stream of reflection that goes on until the test ends it.
pub(crate) struct OpenCall {
    requests: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl OpenCall {
    /// Begins it, and waits until the server has it.
    pub(crate) async fn begin(socket: &Path) -> Self {
        let (requests, stream) = mpsc::channel(1);
        let first = requests.send(request());
        let channel = connect(socket).await.unwrap();
        let mut client = ServerReflectionClient::new(channel);
        let call = client.server_reflection_info(ReceiverStream::new(stream));
        let (sent, answers) = tokio::join!(first, call);
        sent.unwrap();
        let answers = answers.unwrap().into_inner();
        let mut call = Self { requests, answers };
        call.answer().await.unwrap();
        call
    }

    /// Asks once more.
    pub(crate) async fn ask(&mut self) -> Result<(), Status> {
        // Where the call has ended, the answer says why.
        let _ = self.requests.send(request()).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<(), Status> {
        let answer = within("an answer", self.answers.message()).await?;
        assert!(answer.is_some_and(|answer| answer.message_response.is_some()));
        Ok(())
    }
}

fn request() -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }
}
