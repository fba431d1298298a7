//! Runs the example and talks to its socket.

use dapr_pluggable::binding::InvokeRequest;
use dapr_pluggable::client::Client;
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, eventually, socket_folder};
use tokio::process::Command;

#[tokio::test]
async fn its_operation_answers() {
    let folder = socket_folder();
    let socket = folder.path().join("hello-output-binding.sock");
    let mut program = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_hello-output-binding"))
            .arg("--sockets-folder")
            .arg(folder.path()),
    );
    eventually("it serves", async || socket.try_exists().unwrap()).await;
    // Nothing of it stays: a program that is asked to stop waits for the runtimes that are still connected.
    {
        let client = Client::connect(&socket).await.unwrap();
        let binding = client
            .open_output_binding(&InstanceId::new("upper"), &Metadata::new())
            .await
            .unwrap();
        assert_eq!(binding.operations(), ["upper"]);
        let response = binding.invoke(InvokeRequest::new("upper", "loud")).await;
        assert_eq!(response.unwrap().data, "LOUD");
    }
    assert_eq!(program.stop().await.code(), Some(0));
}
