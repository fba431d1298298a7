//! Runs the example and talks to its socket.

use dapr_pluggable::client::Client;
use dapr_pluggable::secret::GetSecretRequest;
use dapr_pluggable::{ErrorKind, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, eventually, socket_folder};
use tokio::process::Command;

#[tokio::test]
async fn secrets_stand_behind_the_prefix() {
    let folder = socket_folder();
    let socket = folder.path().join("hello-secret.sock");
    let mut program = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_hello-secret"))
            .arg("--sockets-folder")
            .arg(folder.path())
            .env("HELLO_WORLD", "open sesame"),
    );
    eventually("it serves", async || socket.try_exists().unwrap()).await;
    // Nothing of it stays: a program that is asked to stop waits for the runtimes that are still connected.
    {
        let client = Client::connect(&socket).await.unwrap();
        let instance = InstanceId::new("secrets");
        let error = client
            .open_secret_store(&instance, &Metadata::new())
            .await
            .map(drop)
            .unwrap_err();
        assert!(error.message().contains("prefix"), "{error}");

        let metadata = Metadata::from([("prefix", "HELLO_")]);
        let store = client
            .open_secret_store(&instance, &metadata)
            .await
            .unwrap();
        let secret = store.get(GetSecretRequest::new("WORLD")).await.unwrap();
        assert_eq!(secret.get("WORLD"), Some("open sesame"));
        let error = store.get(GetSecretRequest::new("NONE")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NotFound);
    }
    assert_eq!(program.stop().await.code(), Some(0));
}
