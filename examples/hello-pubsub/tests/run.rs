//! Runs the example and talks to its socket.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::delivery::{Ack, Gate, window};
use dapr_pluggable::pubsub::{Publication, Subscription};
use dapr_pluggable::{InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, eventually, socket_folder, within};
use tokio::process::Command;

#[tokio::test]
async fn a_message_comes_until_it_is_accepted() {
    let folder = socket_folder();
    let socket = folder.path().join("hello-pubsub.sock");
    let mut program = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_hello-pubsub"))
            .arg("--sockets-folder")
            .arg(folder.path()),
    );
    eventually("it serves", async || socket.try_exists().unwrap()).await;
    // Nothing of it stays: a program that is asked to stop waits for the runtimes that are still connected.
    {
        let client = Client::connect(&socket).await.unwrap();
        let broker = client
            .open_pubsub(&InstanceId::new("pubsub"), &Metadata::new())
            .await
            .unwrap();
        let (deliveries, mut consumer) = window(1, &Gate::new());
        let subscriber = Arc::clone(&broker);
        let subscription = tokio::spawn(async move {
            subscriber
                .subscribe(Subscription::new("t"), deliveries)
                .await
        });
        // The subscription begins at some time after the call.
        let first = loop {
            broker.publish(Publication::new("t", "1")).await.unwrap();
            let soon = tokio::time::timeout(Duration::from_millis(10), consumer.next());
            if let Ok(first) = soon.await {
                break first.unwrap();
            }
        };
        assert_eq!(first.message.data, "1");
        let settler = consumer.settler();
        let rejected = Ack::Rejected("busy".to_owned());
        settler.settle(first.id, rejected).unwrap();
        let again = within("the message once more", consumer.next()).await;
        assert_eq!(again.unwrap().message.data, "1");
        drop(consumer);
        within("the end of the subscription", subscription)
            .await
            .unwrap()
            .ok();
    }
    assert_eq!(program.stop().await.code(), Some(0));
}
