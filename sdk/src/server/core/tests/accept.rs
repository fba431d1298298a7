//! Who may connect, and what happens when descriptors run out.

use std::fs::File;
use std::process::Command;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;

use super::*;

#[tokio::test]
async fn only_allowed_users_are_served() {
    within(async {
        let uid = rustix::process::getuid().as_raw();
        let limits = |uid| Limits {
            allowed_uids: Some(vec![uid]),
            ..Limits::default()
        };
        let rig = Rig::with(Probe::echo(), Offload::No, 1, limits(uid + 1), Arc::new(()));
        let mut refused = UnixStream::connect(rig.socket()).await.unwrap();
        assert_eq!(
            refused.read(&mut [0; 64]).await.unwrap(),
            0,
            "closed without a word"
        );
        rig.stop().await;

        let rig = Rig::with(Probe::echo(), Offload::No, 1, limits(uid), Arc::new(()));
        assert_eq!(rig.client().await.unary("hello").await.unwrap(), "hello");
        rig.stop().await;
    })
    .await;
}

const CHILD: &str = "SERVER_CORE_WITHOUT_DESCRIPTORS";

/// The limit of descriptors belongs to a process, so the test runs itself in one of its own.
#[test]
fn accepting_goes_on_when_descriptors_come_back() {
    if std::env::var_os(CHILD).is_some() {
        return without_descriptors();
    }
    let name = "server::core::tests::accept::accepting_goes_on_when_descriptors_come_back";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

#[tokio::main(flavor = "current_thread")]
async fn without_descriptors() {
    within(async {
        let rig = Rig::start(Probe::echo());
        let witness = rig.client().await;
        assert_eq!(witness.unary("before").await.unwrap(), "before");
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(64),
                maximum,
            },
        )
        .unwrap();
        let mut hogs = Vec::new();
        while let Ok(hog) = File::open("/dev/null") {
            hogs.push(hog);
        }
        // One descriptor for the client's end; the server's end finds none.
        hogs.pop();
        let waiting = UnixStream::connect(rig.socket()).await.unwrap();

        let started = (Instant::now(), cpu_time());
        while started.0.elapsed() < Duration::from_millis(300) {
            assert_eq!(witness.unary("meanwhile").await.unwrap(), "meanwhile");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let spent = cpu_time() - started.1;
        assert!(
            spent < Duration::from_millis(150),
            "accepting spins: {spent:?} of CPU in 300 ms"
        );

        hogs.clear();
        let mut raw = raw::over(waiting).await;
        assert_eq!(raw.unary(UNARY, b"after").await, "after");
        raw.disconnect().await;
        drop(witness);
        rig.stop().await;
    })
    .await;
}

/// What this process has used of the CPU.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}
