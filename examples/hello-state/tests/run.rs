//! Runs the example and talks to its socket.

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{DeleteRequest, GetRequest, SetRequest};
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, eventually, socket_folder};
use tokio::process::Command;

#[tokio::test]
async fn values_come_back() {
    let folder = socket_folder();
    let socket = folder.path().join("hello-state.sock");
    let mut program = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_hello-state"))
            .arg("--sockets-folder")
            .arg(folder.path()),
    );
    eventually("it serves", async || socket.try_exists().unwrap()).await;
    // Nothing of it stays: a program that is asked to stop waits for the runtimes that are still connected.
    {
        let client = Client::connect(&socket).await.unwrap();
        let instance = InstanceId::new("statestore");
        let store = client
            .open_state_store(&instance, &Metadata::new())
            .await
            .unwrap();
        store.set(SetRequest::new("k", "v")).await.unwrap();
        let entry = store.get(GetRequest::new("k")).await.unwrap();
        assert_eq!(entry.unwrap().value, "v");

        let second = Client::connect(&socket).await.unwrap();
        let again = second
            .open_state_store(&instance, &Metadata::new())
            .await
            .unwrap();
        again.delete(DeleteRequest::new("k")).await.unwrap();
        assert_eq!(store.get(GetRequest::new("k")).await.unwrap(), None);
    }
    assert_eq!(program.stop().await.code(), Some(0));
}
