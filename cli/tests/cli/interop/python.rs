//! Python's grpcio, at either end.

use dapr_pluggable_testbed::Peer;

use super::{clients, servers};

#[tokio::test]
async fn a_client_in_python_finds_everything_in_memory() {
    if let Some(peer) = Peer::python("a_client_in_python_finds_everything_in_memory").await {
        clients::check_memory(&peer).await;
    }
}

#[tokio::test]
async fn a_client_in_python_finds_everything_in_sqlite() {
    if let Some(peer) = Peer::python("a_client_in_python_finds_everything_in_sqlite").await {
        clients::check_sqlite(&peer).await;
    }
}

#[tokio::test]
async fn our_client_finds_a_state_store_in_python() {
    if let Some(peer) = Peer::python("our_client_finds_a_state_store_in_python").await {
        servers::check_state(&peer).await;
    }
}

#[tokio::test]
async fn a_server_in_python_sees_who_gives_up() {
    if let Some(peer) = Peer::python("a_server_in_python_sees_who_gives_up").await {
        servers::check_giving_up(&peer).await;
    }
}

#[tokio::test]
async fn our_client_finds_a_broker_in_python() {
    if let Some(peer) = Peer::python("our_client_finds_a_broker_in_python").await {
        servers::check_pubsub(&peer).await;
    }
}

#[tokio::test]
async fn our_client_finds_bindings_and_secrets_in_python() {
    if let Some(peer) = Peer::python("our_client_finds_bindings_and_secrets_in_python").await {
        servers::check_bindings_and_secrets(&peer).await;
    }
}
