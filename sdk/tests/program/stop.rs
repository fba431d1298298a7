//! Signals, and what a stop waits for.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use dapr_pluggable::client::Client;
use dapr_pluggable::{Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, Signal, eventually, socket_folder};
use libtest_mimic::Trial;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::harness::{OpenCall, command, connect, serve, socket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "stop::a_call_in_flight_is_finished",
            a_call_in_flight_is_finished,
        ),
        trial(
            "stop::a_call_that_never_ends_is_cut_off",
            a_call_that_never_ends_is_cut_off,
        ),
        trial(
            "stop::without_runtimes_it_stops_at_once",
            without_runtimes_it_stops_at_once,
        ),
        trial("stop::sigint_stops_it_too", sigint_stops_it_too),
        trial("stop::a_second_signal_ends_it", a_second_signal_ends_it),
        trial(
            "stop::a_second_signal_ends_a_close_that_blocks",
            a_second_signal_ends_a_close_that_blocks,
        ),
    ]
}

async fn a_call_in_flight_is_finished() {
    let folder = socket_folder();
    let mut program = serve(&folder, &["--drain-cap=10m"]).await;
    let mut call = OpenCall::begin(&socket(&folder)).await;
    program.signal(Signal::TERM);
    eventually("the end of the socket", async || {
        !socket(&folder).try_exists().unwrap()
    })
    .await;
    call.ask().await.unwrap();
    assert!(program.is_running());
    drop(call);
    assert_eq!(program.code().await, 0);
    assert!(!program.log().contains("cut off"), "{}", program.log());
}

async fn a_call_that_never_ends_is_cut_off() {
    let folder = socket_folder();
    let mut program = serve(&folder, &["--drain-cap=100ms"]).await;
    let mut call = OpenCall::begin(&socket(&folder)).await;
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    call.ask().await.unwrap_err();
    assert!(
        program.log().contains("calls in flight were cut off"),
        "{}",
        program.log()
    );
}

async fn without_runtimes_it_stops_at_once() {
    let folder = socket_folder();
    let mut program = serve(&folder, &["--shutdown-linger=10m"]).await;
    // Only who has called a building block is a runtime.
    let _looks_on = connect(&socket(&folder)).await.unwrap();
    let mut health = Process::spawn(
        command("patient")
            .args(["health", "--sockets-folder"])
            .arg(folder.path()),
    );
    assert_eq!(health.code().await, 0);
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    assert!(!socket(&folder).try_exists().unwrap());
}

async fn sigint_stops_it_too() {
    let (_controller, terminal) = terminal();
    for stdin in [Stdio::null(), Stdio::from(terminal)] {
        let folder = socket_folder();
        let mut command = command("patient");
        command
            .arg("--sockets-folder")
            .arg(folder.path())
            .stdin(stdin);
        let mut program = Process::spawn(&mut command);
        program.says("serving").await;
        program.signal(Signal::INT);
        assert_eq!(program.code().await, 0);
        assert!(!socket(&folder).try_exists().unwrap());
    }
}

async fn a_second_signal_ends_it() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let folder = socket_folder();
        let mut program = serve(&folder, &["--drain-cap=10m"]).await;
        let call = OpenCall::begin(&socket(&folder)).await;
        program.signal(Signal::TERM);
        // A stale socket would make daprd hang.
        eventually("the end of the socket", async || {
            !socket(&folder).try_exists().unwrap()
        })
        .await;
        assert!(program.is_running());
        // At once after the first, the same signal counts for nothing.
        eventually("the end", async || {
            program.signal(second);
            !program.is_running()
        })
        .await;
        assert_eq!(program.code().await, code);
        drop(call);
    }
}

async fn a_second_signal_ends_a_close_that_blocks() {
    let folder = socket_folder();
    let mut command = command("stuck");
    command.arg("--sockets-folder").arg(folder.path());
    let mut program = Process::spawn(&mut command);
    program.says("serving").await;
    let client = Client::connect(folder.path().join("stuck.sock")).await;
    let client = client.unwrap();
    client
        .open_state_store(&"orders".into(), &Metadata::new())
        .await
        .unwrap();
    drop(client);
    program.signal(Signal::TERM);
    program.says("closing without end").await;
    // At once after the first, the same signal counts for nothing.
    eventually("the end", async || {
        program.signal(Signal::TERM);
        !program.is_running()
    })
    .await;
    assert_eq!(program.code().await, 143);
}

/// A terminal: the side of its user, and the side of a program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let controller =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let terminal = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
    (controller, terminal)
}
