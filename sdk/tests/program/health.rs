//! The verb `health`, and the endpoints over HTTP.

use std::net::SocketAddr;

use dapr_pluggable_testbed::{Process, Signal, socket_folder, within};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{OpenCall, command, serve, socket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("health::it_says_who_serves", it_says_who_serves),
        trial("health::it_says_why_not", it_says_why_not),
        trial("health::it_waits_for_the_start", it_waits_for_the_start),
        trial("health::the_wait_has_an_end", the_wait_has_an_end),
        trial(
            "health::endpoints_follow_the_life_of_the_server",
            endpoints_follow_the_life_of_the_server,
        ),
        trial(
            "health::a_port_in_use_is_an_error",
            a_port_in_use_is_an_error,
        ),
    ]
}

fn ask(folder: &TempDir, arguments: &[&str]) -> Process {
    let mut command = command("patient");
    command.arg("health").args(arguments);
    if !arguments.contains(&"--socket") {
        command.arg("--sockets-folder").arg(folder.path());
    }
    Process::spawn(&mut command)
}

async fn it_says_who_serves() {
    let folder = socket_folder();
    let _server = serve(&folder, &[]).await;
    let socket = socket(&folder);
    for arguments in [
        &[][..],
        &["patient"],
        &["--socket", socket.to_str().unwrap()],
    ] {
        let mut health = ask(&folder, arguments);
        assert_eq!(health.code().await, 0, "{arguments:?}: {}", health.log());
        assert_eq!(health.log(), format!("{} is served\n", socket.display()));
    }
}

async fn it_says_why_not() {
    let folder = socket_folder();
    let missing = ask(&folder, &[]);
    std::fs::write(folder.path().join("file.sock"), "").unwrap();
    let file = ask(&folder, &["file"]);
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("stale.sock")).unwrap());
    let stale = ask(&folder, &["stale"]);
    let bad_name = ask(&folder, &["Patient"]);
    let _server = serve(&folder, &[]).await;
    let unknown = ask(&folder, &["--service", "no.Such"]);
    for (mut health, why) in [
        (missing, "patient.sock: there is no such file"),
        (file, "it is not a socket"),
        (stale, "stale.sock: nobody listens: it is stale"),
        (bad_name, "upper-case"),
        (unknown, "does not know the service \"no.Such\""),
    ] {
        assert_eq!(health.code().await, 1);
        assert!(
            health.log().starts_with("error: ") && health.log().contains(why),
            "{}",
            health.log()
        );
    }
}

async fn it_waits_for_the_start() {
    let folder = socket_folder();
    let mut health = ask(&folder, &["--wait", "10m"]);
    let _server = serve(&folder, &[]).await;
    assert_eq!(health.code().await, 0, "{}", health.log());
}

async fn the_wait_has_an_end() {
    let folder = socket_folder();
    let mut health = ask(&folder, &["--wait", "200ms"]);
    assert_eq!(health.code().await, 1);
    assert!(
        health.log().contains("there is no such file"),
        "{}",
        health.log()
    );
}

async fn endpoints_follow_the_life_of_the_server() {
    let folder = socket_folder();
    let mut server = serve(
        &folder,
        &["--http-listen=0", "--drain-cap=10m", "--shutdown-linger=0s"],
    )
    .await;
    let address: SocketAddr = server.says_field("address").await.parse().unwrap();
    assert!(address.ip().is_loopback());
    assert_eq!(fetch(address, "GET", "/livez").await.0, 200);
    assert_eq!(fetch(address, "GET", "/readyz").await.0, 200);
    assert_eq!(fetch(address, "HEAD", "/readyz").await.0, 200);
    assert_eq!(fetch(address, "POST", "/readyz").await.0, 405);
    assert_eq!(fetch(address, "GET", "/").await.0, 404);

    let call = OpenCall::begin(&socket(&folder)).await;
    assert_eq!(fetch(address, "GET", "/metrics").await.0, 200);

    server.signal(Signal::TERM);
    within("the end of readiness", async {
        while fetch(address, "GET", "/readyz").await.0 != 503 {}
    })
    .await;
    // The process lives: a restart would lose the calls in flight.
    assert_eq!(fetch(address, "GET", "/livez").await.0, 200);
    drop(call);
    assert_eq!(server.code().await, 0);
}

async fn a_port_in_use_is_an_error() {
    let folder = socket_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command("patient");
    command
        .arg("--sockets-folder")
        .arg(folder.path())
        .args(["--http-listen", &address]);
    let mut server = Process::spawn(&mut command);
    assert_eq!(server.code().await, 1);
    assert!(
        server
            .log()
            .contains(&format!("error: listen for HTTP at {address}")),
        "{}",
        server.log()
    );
    assert!(!socket(&folder).try_exists().unwrap());
}

async fn fetch(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer over HTTP", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}
