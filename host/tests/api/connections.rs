//! Connections as clients use them.

use dapr_pluggable_testbed::within;
use tempfile::tempdir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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

#[tokio::test]
async fn a_body_that_waits_for_a_word_is_asked_for_only_where_it_is_wanted() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let body = r#"[{"key":"k","value":1}]"#;
    for (store, expected) in [
        ("orders", "HTTP/1.1 100 Continue"),
        ("nowhere", "HTTP/1.1 400 Bad Request"),
    ] {
        let head = format!(
            "POST /v1.0/state/{store} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let connection = TcpStream::connect(served.address).await.unwrap();
        let mut connection = BufReader::new(connection);
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut first = String::new();
        let reading = connection.read_line(&mut first);
        within("the first word", reading).await.unwrap();
        assert_eq!(first.trim_end(), expected);
        if store == "orders" {
            connection.write_all(body.as_bytes()).await.unwrap();
        }
        let mut rest = String::new();
        let reading = connection.read_to_string(&mut rest);
        within("the answer", reading).await.unwrap();
        assert_eq!(rest.contains("HTTP/1.1 204"), store == "orders", "{rest}");
    }
    served.stop().await;
}
