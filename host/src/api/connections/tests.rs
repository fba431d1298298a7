use std::net::{Ipv4Addr, SocketAddr};

use dapr_pluggable_testbed::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::readiness::Readiness;
use crate::registry::Registry;

const HEALTH: &str = "GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// An API without components that serves at most that many connections.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    async fn start(most: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let registry = Arc::new(Registry::new());
        let api = Arc::new(Api::new("app", registry, Readiness::new(), stop.clone()));
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, api, most, &stop, Duration::from_secs(5)).await }
        });
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// Reads the head of an answer and whatever came with it.
async fn answer(connection: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let read = connection.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

async fn ask(connection: &mut TcpStream) -> String {
    connection.write_all(HEALTH.as_bytes()).await.unwrap();
    within("an answer", answer(connection)).await
}

#[tokio::test]
async fn what_is_over_the_limit_waits_until_there_is_room() {
    let served = Served::start(2).await;
    let (mut first, mut second) = (served.connect().await, served.connect().await);
    for connection in [&mut first, &mut second] {
        assert!(ask(connection).await.contains("ERR_HEALTH_NOT_READY"));
    }
    let mut third = served.connect().await;
    third.write_all(HEALTH.as_bytes()).await.unwrap();
    // The others are served meanwhile, again and again.
    for _ in 0..20 {
        assert!(ask(&mut first).await.contains("ERR_HEALTH_NOT_READY"));
        let nothing = third.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(second);
    let answer = within("an answer", answer(&mut third)).await;
    assert!(answer.contains("ERR_HEALTH_NOT_READY"), "{answer}");
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let served = Served::start(2).await;
    let mut connection = served.connect().await;
    let begun = Instant::now();
    let head = "PUT /v1.0/metadata/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = answer(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(
        answer.contains("body did not arrive within 60 s"),
        "{answer}"
    );
    assert!(begun.elapsed() < Duration::from_secs(70));
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends() {
    let served = Served::start(2).await;
    let (mut silent, mut idle) = (served.connect().await, served.connect().await);
    idle.write_all(HEALTH.as_bytes()).await.unwrap();
    assert!(answer(&mut idle).await.contains("ERR_HEALTH_NOT_READY"));
    let begun = Instant::now();
    for connection in [&mut silent, &mut idle] {
        assert_eq!(connection.read(&mut [0; 1]).await.unwrap(), 0);
    }
    let second = Duration::from_secs(1);
    let lasted = begun.elapsed();
    assert!(HEAD_CAP.abs_diff(lasted) <= second, "{lasted:?}");
    served.end().await;
}
