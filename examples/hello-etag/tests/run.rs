//! Runs the example and talks to its socket.

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{DeleteRequest, GetRequest, SetRequest};
use dapr_pluggable::{ErrorKind, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, eventually, socket_folder};
use tokio::process::Command;

#[tokio::test]
async fn a_write_over_another_is_refused() {
    let folder = socket_folder();
    let socket = folder.path().join("hello-etag.sock");
    let mut program = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_hello-etag"))
            .arg("--sockets-folder")
            .arg(folder.path()),
    );
    eventually("it serves", async || socket.try_exists().unwrap()).await;
    // Nothing of it stays: a program that is asked to stop waits for the runtimes that are still connected.
    {
        let client = Client::connect(&socket).await.unwrap();
        let store = client
            .open_state_store(&InstanceId::new("statestore"), &Metadata::new())
            .await
            .unwrap();
        assert!(store.claims().etag);
        store.set(SetRequest::new("k", "1")).await.unwrap();
        let etag = store.get(GetRequest::new("k")).await.unwrap().unwrap().etag;
        let mut write = SetRequest::new("k", "2");
        write.etag = etag.clone();
        store.set(write.clone()).await.unwrap();
        let error = store.set(write).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
        let mut delete = DeleteRequest::new("k");
        delete.etag = etag;
        let error = store.delete(delete).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
    }
    assert_eq!(program.stop().await.code(), Some(0));
}
