//! What the system does not give without end.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::Path;

use dapr_pluggable_testbed::{Process, Signal, socket_folder};
use libtest_mimic::Trial;

use super::harness::{OpenCall, command_of, socket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "limits::it_lives_through_a_lack_of_descriptors",
        it_lives_through_a_lack_of_descriptors,
    )]
}

async fn it_lives_through_a_lack_of_descriptors() {
    let folder = socket_folder();
    let mut command = command_of(Path::new("/bin/sh"), "patient");
    command
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .arg("--sockets-folder")
        .arg(folder.path());
    let mut program = Process::spawn(&mut command);
    program.says("serving").await;
    let crowd: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(socket(&folder)).unwrap())
        .collect();
    program.says("failed to accept a connection").await;
    drop(crowd);
    let mut call = OpenCall::begin(&socket(&folder)).await;
    call.ask().await.unwrap();
    drop(call);
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0, "{}", program.log());
}
