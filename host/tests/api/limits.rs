//! What is too large, or is no request of this API.

use std::net::Ipv4Addr;

use dapr_pluggable::ErrorKind;
use dapr_pluggable_host::api;
use dapr_pluggable_testbed::{HttpRequest, within};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Served, json};

const LIMIT: usize = 4 << 20;

#[tokio::test]
async fn a_body_may_have_four_mebibytes_and_no_byte_more() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let save = |size: usize| {
        let (start, end) = (r#"[{"key":"k","value":""#, r#""}]"#);
        let filling = "x".repeat(size - start.len() - end.len());
        served.post("/v1.0/state/orders", format!("{start}{filling}{end}"))
    };
    assert_eq!(save(LIMIT).await.status, 204);
    for (path, code, message) in [
        (
            "/v1.0/state/orders",
            "ERR_MALFORMED_REQUEST",
            "stream too large",
        ),
        (
            "/v1.0/state/orders/bulk",
            "ERR_MALFORMED_REQUEST",
            "failed deserializing HTTP body: stream too large",
        ),
        (
            "/v1.0/state/orders/transaction",
            "ERR_MALFORMED_REQUEST",
            "failed deserializing HTTP body: stream too large",
        ),
        (
            "/v1.0-alpha1/state/orders/query",
            "ERR_BODY_READ",
            "failed to read request body: stream too large",
        ),
    ] {
        for size in [LIMIT + 1, 3 * LIMIT] {
            let answer = served.post(path, vec![b' '; size]).await;
            assert_eq!(answer.status, 400, "{path}");
            let body = json(&answer);
            assert_eq!(
                (&body["errorCode"], &body["message"]),
                (&code.into(), &message.into())
            );
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_its_whole_body_first() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    for (method, path, status) in [
        ("POST", "/v1.0/state/nowhere", "400"),
        ("POST", "/v1.0/state/gated/transaction", "500"),
        ("POST", "/nowhere", "404"),
        ("POST", "/v1.0/state/%zz", "400"),
        ("GET", "/v1.0/state/orders/k", "204"),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LIMIT}\r\n\r\n"
        );
        let mut connection = TcpStream::connect(served.address).await.unwrap();
        let sending = async {
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(&vec![b' '; LIMIT]).await
        };
        within("the request to be taken", sending).await.unwrap();
        let mut answer = String::new();
        let reading = connection.read_to_string(&mut answer);
        within("the answer", reading).await.unwrap();
        let got = answer
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        assert_eq!(got, Some(status), "{path}: {answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_head_may_be_large_but_not_without_end() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    for (size, status) in [(7 << 10, 204), (20 << 10, 431)] {
        let request = HttpRequest::new("GET", "/v1.0/state/orders/k").header("x", "h".repeat(size));
        assert_eq!(served.send(request).await.status, status, "{size}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_bad_escape_is_a_bad_request() {
    let folder = tempdir().unwrap();
    let served = Served::start(folder.path()).await;
    let answer = served.get("/v1.0/state/orders/%zz").await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "400 Bad Request".to_owned())
    );
    let answer = served.get("/v1.0/state/orders/%ff").await;
    assert_eq!(answer.status, 400);
    assert_eq!(json(&answer)["errorCode"], "ERR_MALFORMED_REQUEST");
    served.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = api::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = api::bind(address).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    let port = address.port();
    let text = format!("listen at {address}: port {port} is in use by another program");
    assert_eq!(error.message(), text);
}
