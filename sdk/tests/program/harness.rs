//! The component's program as a process, and calls to it.

use std::env;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dapr_pluggable_testbed::{Process, within};
use hyper_util::rt::TokioIo;
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::{ServerReflectionRequest, ServerReflectionResponse};
use tower::service_fn;

/// Says what a child of the test program serves.
pub(crate) const ROLE: &str = "PATIENT";

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

/// A command that has the test program serve these names.
pub(crate) fn command(names: &str) -> Command {
    command_of(&env::current_exe().unwrap(), names)
}

/// The same, of a copy of the test program.
pub(crate) fn command_of(program: &Path, names: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(ROLE, names)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Serves `patient` in a folder, and waits until it does.
pub(crate) async fn serve(folder: &TempDir, arguments: &[&str]) -> Process {
    let mut command = command("patient");
    command
        .arg("--sockets-folder")
        .arg(folder.path())
        .args(arguments);
    let program = Process::spawn(&mut command);
    program.says("serving").await;
    program
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
