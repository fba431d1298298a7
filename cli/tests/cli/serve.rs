//! The verb `serve`.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dapr_pluggable_testbed::{HttpRequest, Process, Signal, eventually, socket_folder};

use crate::program::{pluggable, run, serve, text};

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".sock")).collect();
    names.sort();
    names
}

/// Serves `memory` with a shell script beside it.
fn serve_beside(folder: &Path, script: &str) -> Process {
    let mut command = pluggable(["serve", "memory", "--sockets-folder"]);
    command.arg(folder).args(["--", "sh", "-c", script]);
    Process::spawn(&mut command)
}

/// Subscribes to messages of `memory`, and has received one.
async fn subscriber(folder: &Path) -> Process {
    let socket = folder.join("memory.sock");
    let call = ["call", "--socket", text(&socket), "--init", "pubsub"];
    let published = run(call.iter().chain(&["publish", "orders", "one"])).await;
    assert_eq!(published.code, 0, "{published:?}");
    let subscriber = Process::spawn(&mut pluggable(call.iter().chain(&["pull", "orders"])));
    subscriber.says("one").await;
    subscriber
}

#[tokio::test]
async fn each_name_makes_a_socket_which_goes_at_the_end() {
    let folder = socket_folder();
    let mut component = serve(folder.path(), &["memory", "sqlite", "--socket-mode=0600"]).await;
    component.says("sqlite.sock").await;
    assert_eq!(names(folder.path()), ["memory.sock", "sqlite.sock"]);
    let socket = folder.path().join("memory.sock");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    component.signal(Signal::TERM);
    assert_eq!(component.code().await, 0, "{}", component.log());
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_component_can_have_another_name() {
    let folder = socket_folder();
    let component = serve(folder.path(), &["sqlite", "--as", "sqlite-local"]).await;
    assert_eq!(names(folder.path()), ["sqlite-local.sock"]);
    component.says("state.sqlite-local").await;
    let ended = run(["serve", "sqlite", "--as", "Upper.Case"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("\"Upper.Case\""), "{ended:?}");
}

#[tokio::test]
async fn limits_threads_and_logs_are_as_asked() {
    let folder = socket_folder();
    let flags = [
        "--workers=1",
        "--max-message-size=1Mi",
        "--log-format=json",
        "--log-level=warn,dapr_pluggable::server::serving=info",
    ];
    let component = serve(folder.path(), &[&["memory"], &flags[..]].concat()).await;
    let tasks = std::fs::read_dir(format!("/proc/{}/task", component.id())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    let workers = names.filter(|name| matches!(name, Ok(name) if name.starts_with("worker-")));
    assert_eq!(workers.count(), 1);

    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'x'; 2 << 20]).unwrap();
    let socket = folder.path().join("memory.sock");
    let value = format!("@{}", text(&large));
    // The key that nobody knows would be logged at the level info.
    let call = ["call", "--metadata=colour=red", "--socket", text(&socket)];
    let ended = run(call.iter().chain(&["state", "set", "k", &value])).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("1048576"), "{ended:?}");
    for line in component.stderr().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    assert!(!component.log().contains("colour"), "{}", component.log());
}

#[tokio::test]
async fn a_key_that_nobody_knows_is_named_and_the_runtimes_own_are_not() {
    let folder = socket_folder();
    let component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    let mut call = vec!["call", "--socket", text(&socket)];
    for entry in ["direction=output", "route=/events", "colour=red"] {
        call.extend(["--metadata", entry]);
    }
    let ended = run(call.iter().chain(&["binding", "ping"])).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    component.says(r#"keys=["colour"]"#).await;
}

#[tokio::test]
async fn a_live_socket_is_left_to_its_component() {
    let folder = socket_folder();
    let _first = serve(folder.path(), &["memory"]).await;
    let second = run(["serve", "memory", "--sockets-folder", text(folder.path())]).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(
        second.stderr.contains("error: serve memory: "),
        "{second:?}"
    );
    assert_eq!(names(folder.path()), ["memory.sock"]);
}

#[tokio::test]
async fn a_command_finds_the_component_and_decides_on_the_end() {
    let folder = socket_folder();
    let script = format!(
        "test -S \"$DAPR_COMPONENTS_SOCKETS_FOLDER/memory.sock\" && {} health memory && exit 7",
        env!("CARGO_BIN_EXE_pluggable")
    );
    let mut component = serve_beside(folder.path(), &script);
    assert_eq!(component.code().await, 7, "{}", component.log());
    assert!(component.stdout().contains("is served"));
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn signals_are_passed_on_and_the_component_outlives_the_command() {
    let folder = socket_folder();
    let script = "trap 'echo told to look again' HUP
        trap 'test -S \"$DAPR_COMPONENTS_SOCKETS_FOLDER/memory.sock\" && echo still served; exit 5' TERM
        echo trap is set; while :; do sleep 0.1; done";
    let mut component = serve_beside(folder.path(), script);
    component.says("trap is set").await;
    component.signal(Signal::HUP);
    component.says("told to look again").await;
    component.signal(Signal::TERM);
    assert_eq!(component.code().await, 5, "{}", component.log());
    assert!(component.stdout().contains("still served"));
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_command_that_ends_by_a_signal_is_told_as_shells_do() {
    let folder = socket_folder();
    let mut component = serve_beside(folder.path(), "kill -9 $$");
    assert_eq!(component.code().await, 128 + 9, "{}", component.log());
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed() {
    let folder = socket_folder();
    let stubborn = "trap '' TERM; echo trap is set; while :; do sleep 0.1; done";
    let mut command = pluggable(["serve", "memory", "--command-grace=50ms"]);
    command
        .arg("--sockets-folder")
        .arg(folder.path())
        .args(["--", "sh", "-c", stubborn]);
    let mut component = Process::spawn(&mut command);
    component.says("trap is set").await;
    component.signal(Signal::TERM);
    assert_eq!(component.code().await, 128 + 9, "{}", component.log());
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_second_signal_ends_everything_at_once() {
    let folder = socket_folder();
    let script = "trap 'echo waiting' TERM; echo $$; while :; do sleep 0.1; done";
    let mut component = serve_beside(folder.path(), script);
    component.says("started").await;
    component.signal(Signal::TERM);
    component.says("waiting for its end").await;
    // At once after the first, the same signal counts for nothing.
    eventually("the end", async || {
        component.signal(Signal::TERM);
        !component.is_running()
    })
    .await;
    assert_eq!(component.code().await, 143, "{}", component.log());
    eventually("the socket goes", async || names(folder.path()).is_empty()).await;
}

#[tokio::test]
async fn the_first_signal_may_come_after_the_end_of_the_command() {
    for (signals, code) in [(1, 5), (2, 130)] {
        let folder = socket_folder();
        let script = "cd \"$DAPR_COMPONENTS_SOCKETS_FOLDER\"
            while ! test -e end; do sleep 0.05; done; exit 5";
        let mut component = serve_beside(folder.path(), script);
        component.says("started").await;
        let mut subscriber = subscriber(folder.path()).await;
        std::fs::write(folder.path().join("end"), "").unwrap();
        component.says("ended").await;
        // The component lingers for its subscriber.
        component.signal(Signal::INT);
        component.says("stopping already").await;
        if signals == 2 {
            eventually("the end", async || {
                component.signal(Signal::INT);
                !component.is_running()
            })
            .await;
        } else {
            subscriber.stop().await;
        }
        assert_eq!(component.code().await, code, "{}", component.log());
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_has_codes_of_its_own() {
    let folder = socket_folder();
    for (command, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let folder = text(folder.path());
        let ended = run(["serve", "memory", "--sockets-folder", folder, "--", command]).await;
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains(&format!("error: start {command:?}")));
    }
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn probes_and_metrics_are_there_over_http() {
    let folder = socket_folder();
    let component = serve(folder.path(), &["memory", "--http-listen=0"]).await;
    let address: SocketAddr = component.says_field("address").await.parse().unwrap();
    for path in ["/livez", "/readyz"] {
        // The address is there before the process is ready.
        eventually(path, async || {
            HttpRequest::new("GET", path).send(address).await.status == 200
        })
        .await;
    }
    let socket = folder.path().join("memory.sock");
    let call = ["call", "--socket", text(&socket), "--init"];
    let called = run(call.iter().chain(&["state", "set", "k", "v"])).await;
    assert_eq!(called.code, 0, "{called:?}");
    let metrics = HttpRequest::new("GET", "/metrics").send(address).await;
    assert!(metrics.text().contains("state_store"), "{}", metrics.text());
}
