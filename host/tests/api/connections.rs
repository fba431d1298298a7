//! Connections as clients use them.

use dapr_pluggable_testbed::within;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::Served;

#[tokio::test]
async fn one_connection_carries_request_after_request() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let item = r#"[{"key":"k","value":"in parts"}]"#;
    let (first, second) = item.split_at(10);
    let requests = format!(
        "POST /v1.0/state/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n\
         GET /v1.0/state/orders/k? HTTP/1.1\r\nHost: x\r\n\r\n\
         DELETE /v1.0/state/orders/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        first.len(),
        second.len()
    );
    let mut connection = TcpStream::connect(served.address).await.unwrap();
    connection.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    let reading = connection.read_to_string(&mut answers);
    within("the answers", reading).await.unwrap();
    let statuses: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3))
        .collect();
    // The body of the second answer has no end of line.
    assert_eq!(statuses, ["204", "200"]);
    assert!(answers.contains("\"in parts\"HTTP/1.1 204"), "{answers}");
    served.stop().await;
}
