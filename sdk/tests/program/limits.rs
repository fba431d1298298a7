//! What the system does not give without end.

use std::os::unix::net::UnixStream;

use dapr_pluggable_testbed::{Signal, socket_folder};
use libtest_mimic::Trial;

use super::harness::{OpenCall, serve, socket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "limits::it_lives_through_a_lack_of_descriptors",
        it_lives_through_a_lack_of_descriptors,
    )]
}

async fn it_lives_through_a_lack_of_descriptors() {
    let folder = socket_folder();
    let mut program = serve(&folder, &[]).await;
    program.limit_descriptors(64);
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
