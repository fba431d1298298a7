use std::os::unix::fs::symlink;
use std::process::{ExitStatus, Stdio};

use dapr_pluggable_testbed::{Process, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::*;

/// A port that nobody asks.
const NO_SIDECAR: u16 = 1;

fn lost_init(policy: OnLostInit) -> (Arc<LostInit>, Arc<Peers>) {
    let peers = Arc::new(Peers::default());
    let sidecar = Sidecar::new(NO_SIDECAR, None);
    (LostInit::new(policy, sidecar, Arc::clone(&peers)), peers)
}

fn peer(id: PeerId) -> Peer {
    Peer {
        id,
        connection: 7,
        uid: 0,
        gid: 0,
    }
}

fn call(lost_init: &Arc<LostInit>, peer: &Peer) -> Error {
    lost_init.call_without_init(Block::StateStore, "orders", peer)
}

/// Whether something was done about a peer; [`OnLostInit::Hup`] keeps it in mind.
fn noticed(lost_init: &LostInit, peer: &Peer) -> bool {
    locked(&lost_init.settled).contains(&peer.id)
}

#[test]
fn choices_are_read_by_name() {
    for choice in OnLostInit::ALL {
        assert_eq!(choice.to_string().parse::<OnLostInit>().unwrap(), choice);
    }
    let error = "restart".parse::<OnLostInit>().unwrap_err();
    assert!(error.message().contains("restart"), "{error}");
    assert!(error.message().contains("none, hup or shutdown"), "{error}");
}

#[tokio::test]
async fn the_error_says_since_when_and_what_helps() {
    let (lost_init, _) = lost_init(OnLostInit::None);
    let error = call(&lost_init, &peer(PeerId::Process(1)));
    assert_eq!(error.kind(), &ErrorKind::NotOpened);
    let text = error.message();
    for part in [
        "no Init received for 'orders' since this process started at 2",
        "daprd does not repeat Init",
        "--on-lost-init",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(lost_init.hinted.load(Ordering::Relaxed));
}

/// A process of that name. It says when a `SIGHUP` comes, and ends when it reads a line.
async fn process(name: &str) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    symlink("/bin/sh", &program).unwrap();
    let script = "trap 'echo hung up' HUP; echo ready; while :; do read line && exit 0; done";
    let process = Process::spawn(
        Command::new(&program)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    process.says("ready").await;
    process
}

async fn ended(process: &mut Process) -> ExitStatus {
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"end\n").await.unwrap();
    process.end().await
}

fn peer_of(process: &Process) -> Peer {
    peer(PeerId::Process(process.id().try_into().unwrap()))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_daprd_is_hung_up_once() {
    let (lost_init, _) = lost_init(OnLostInit::Hup);
    let mut daprd = process("daprd").await;
    let peer = peer_of(&daprd);
    call(&lost_init, &peer);
    daprd.says("hung up").await;
    call(&lost_init, &peer);
    lost_init.notice_silence(peer.id);
    assert!(ended(&mut daprd).await.success());
    assert_eq!(daprd.stdout().matches("hung up").count(), 1);
    assert!(!lost_init.hinted.load(Ordering::Relaxed));
}

#[tokio::test]
async fn another_process_is_left_alone_and_the_hint_is_logged() {
    let (lost_init, _) = lost_init(OnLostInit::Hup);
    let mut other = process("not-daprd").await;
    call(&lost_init, &peer_of(&other));
    assert!(ended(&mut other).await.success());
    assert!(!other.stdout().contains("hung up"));
    assert!(lost_init.hinted.load(Ordering::Relaxed));
}

#[tokio::test]
async fn no_policy_but_hup_sends_a_signal() {
    let mut daprd = process("daprd").await;
    for policy in [OnLostInit::None, OnLostInit::Shutdown] {
        let (lost_init, _) = lost_init(policy);
        call(&lost_init, &peer_of(&daprd));
        lost_init.stop().await;
    }
    assert!(ended(&mut daprd).await.success());
    assert!(!daprd.stdout().contains("hung up"));
}

/// Takes one request, and gives its head and where to answer it.
async fn request(sidecar: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = within("a request", sidecar.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

async fn answer(mut stream: TcpStream, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_sidecar_is_asked_to_stop_until_it_agrees() {
    let sidecar = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = sidecar.local_addr().unwrap().port();
    let token = Some("open sesame".to_owned());
    let lost_init = LostInit::new(
        OnLostInit::Shutdown,
        Sidecar::new(port, token),
        Arc::default(),
    );
    let peer = peer(PeerId::Connection(1));
    call(&lost_init, &peer);
    call(&lost_init, &peer);
    let (head, stream) = request(&sidecar).await;
    assert!(
        head.starts_with("POST /v1.0/shutdown HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("dapr-api-token: open sesame\r\n"), "{head}");
    answer(stream, "500 Internal Server Error").await;
    eventually("the refusal", async || {
        !lost_init.shutdown.load(Ordering::Relaxed)
    })
    .await;
    call(&lost_init, &peer);
    let (_, stream) = request(&sidecar).await;
    answer(stream, "204 No Content").await;
    call(&lost_init, &peer);
    eventually("the end of the task", async || lost_init.tasks.is_empty()).await;
    assert!(lost_init.shutdown.load(Ordering::Relaxed));
    let more = futures::FutureExt::now_or_never(sidecar.accept());
    assert!(more.is_none(), "it was asked again");
}

#[tokio::test]
async fn another_process_does_not_stop_the_sidecar() {
    let (lost_init, _) = lost_init(OnLostInit::Shutdown);
    let mut other = process("not-daprd").await;
    call(&lost_init, &peer_of(&other));
    assert!(lost_init.tasks.is_empty());
    assert!(lost_init.hinted.load(Ordering::Relaxed));
    let mut daprd = process("daprd").await;
    call(&lost_init, &peer_of(&daprd));
    assert!(!lost_init.tasks.is_empty());
    lost_init.stop().await;
    assert!(ended(&mut other).await.success());
    assert!(ended(&mut daprd).await.success());
}

#[tokio::test]
async fn a_sidecar_that_does_not_answer_does_not_hold_up_a_stop() {
    let sidecar = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = sidecar.local_addr().unwrap().port();
    let lost_init = LostInit::new(
        OnLostInit::Shutdown,
        Sidecar::new(port, None),
        Arc::default(),
    );
    call(&lost_init, &peer(PeerId::Connection(1)));
    let (_, _unanswered) = request(&sidecar).await;
    lost_init.stop().await;
    assert!(lost_init.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_counts_after_a_second() {
    let (lost_init, _) = lost_init(OnLostInit::Hup);
    let silent = peer(PeerId::Connection(7));
    lost_init.connected(&silent);
    tokio::time::sleep(SILENCE / 2).await;
    assert!(!noticed(&lost_init, &silent));
    tokio::time::sleep(SILENCE).await;
    assert!(noticed(&lost_init, &silent));
    assert!(locked(&lost_init.silent).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_call_or_an_end_does_not_count() {
    let (lost_init, _) = lost_init(OnLostInit::Hup);
    let heard = peer(PeerId::Connection(7));
    lost_init.connected(&heard);
    lost_init.broke_silence(&heard);
    tokio::time::sleep(2 * SILENCE).await;
    assert!(!noticed(&lost_init, &heard));
    assert!(lost_init.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_of_a_peer_that_sent_its_init_does_not_count() {
    let (lost_init, peers) = lost_init(OnLostInit::Hup);
    // Its process, and any that is only known by its connection: it may be the one that sent the Init.
    for (known, silent) in [
        (PeerId::Process(1), PeerId::Process(1)),
        (PeerId::Connection(1), PeerId::Connection(2)),
    ] {
        peers.arrived(&peer(known));
        peers.note_init(known);
        let silent = peer(silent);
        lost_init.connected(&silent);
        tokio::time::sleep(2 * SILENCE).await;
        assert!(!noticed(&lost_init, &silent), "{silent:?}");
    }
}

#[tokio::test]
async fn nothing_is_done_once_it_has_stopped() {
    let (lost_init, _) = lost_init(OnLostInit::Hup);
    let peer = peer(PeerId::Process(1));
    lost_init.connected(&peer);
    lost_init.stop().await;
    call(&lost_init, &peer);
    assert!(!noticed(&lost_init, &peer));
    assert!(!lost_init.hinted.load(Ordering::Relaxed));
}
