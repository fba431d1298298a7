//! How the API ends.

use dapr_pluggable_testbed::{HttpRequest, within};
use tempfile::tempdir;
use tokio::net::TcpStream;

use crate::harness::{Served, send};

#[tokio::test]
async fn an_application_can_end_the_host() {
    let folder = tempdir().unwrap();
    let mut served = Served::start(folder.path()).await;
    let answer = served.post("/v1.0/shutdown", "").await;
    assert_eq!(answer.status, 204);
    within("the shutdown", served.host.shutdown().cancelled()).await;
    served.served().await;
    assert!(TcpStream::connect(served.address).await.is_err());
    within("the end of the host", served.host.stop()).await;
}

#[tokio::test]
async fn an_answer_in_flight_is_finished() {
    let folder = tempdir().unwrap();
    let mut served = Served::start(folder.path()).await;
    let request = HttpRequest::new("GET", "/v1.0/state/gated/k");
    let asking = tokio::spawn(send(served.address, request));
    within("the call", served.gate.arrival()).await;
    served.host.shutdown().cancel();
    served.gate.let_one_through();
    let answer = within("the answer", asking).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "app||k".to_owned()));
    served.served().await;
    within("the end of the host", served.host.stop()).await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_call() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let request = HttpRequest::new("GET", "/v1.0/state/gated/k");
    let asking = tokio::spawn(send(served.address, request));
    within("the call", served.gate.arrival()).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    within("the end of the call", served.gate.end()).await;
    served.stop().await;
}
