//! grpc-go, at either end.

use dapr_pluggable_testbed::Peer;

use super::clients;

#[tokio::test]
async fn a_client_in_go_finds_everything_in_memory() {
    if let Some(peer) = Peer::go("a_client_in_go_finds_everything_in_memory").await {
        clients::check_memory(&peer).await;
    }
}

#[tokio::test]
async fn a_client_in_go_finds_everything_in_sqlite() {
    if let Some(peer) = Peer::go("a_client_in_go_finds_everything_in_sqlite").await {
        clients::check_sqlite(&peer).await;
    }
}
