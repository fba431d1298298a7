//! The verb `run`: a whole host, with an application beside it or none.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use dapr_pluggable_testbed::{
    Process, Redis, Signal, eventually, eventually_equal, rounds, skip_missing, socket_folder,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::host::{Host, command};
use crate::program::{pluggable, run, serve, text};

/// A folder with one resource file.
fn resources(yaml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("component.yaml"), yaml).unwrap();
    folder
}

fn data() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn component(name: &str, component_type: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {component_type}\n  version: v1\n"
    )
}

#[tokio::test]
async fn without_resources_a_value_survives_a_restart() {
    let data = data();
    let flag = format!("--data-dir={}", text(data.path()));
    let host = Host::start(&[&flag]).await;
    let names: Vec<&str> = host.announcement["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["statestore", "pubsub"]);
    assert_eq!(host.get("/v1.0/healthz").await.status, 204);
    host.save("statestore", "greeting", "hello").await;
    assert_eq!(host.value("statestore", "greeting").await, "\"hello\"");
    host.stop().await;
    let again = Host::start(&[&flag]).await;
    assert_eq!(again.value("statestore", "greeting").await, "\"hello\"");
    again.stop().await;
}

#[tokio::test]
async fn the_printed_curl_lines_work_as_they_are() {
    let data = data();
    let mut command = pluggable(["run", "--dapr-http-port=0", "--data-dir", text(data.path())]);
    let host = Process::spawn(&mut command);
    host.says("/greeting'").await;
    let printed = host.stdout();
    let lines: Vec<&str> = printed
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), 2, "{printed}");
    if Command::new("curl")
        .arg("--version")
        .output()
        .await
        .is_err()
    {
        skip_missing(
            "the_printed_curl_lines_work_as_they_are",
            "curl",
            "install the package curl",
        );
        return;
    }
    let mut last = String::new();
    for line in lines {
        let output = Command::new("sh")
            .args(["-c", line])
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        last = String::from_utf8(output.stdout).unwrap();
    }
    assert_eq!(last, "\"hello\"");
}

#[tokio::test]
async fn data_is_in_a_folder_of_the_users_own() {
    let home = data();
    let host = Host::spawn(command(&[]).env("HOME", home.path())).await;
    let expected = home.path().join(".local/share/dapr-pluggable");
    assert_eq!(host.announcement["data_dir"], text(&expected));
    assert!(expected.join("statestore.db").try_exists().unwrap());
    host.stop().await;

    for (home, why) in [
        (None, "HOME is not set"),
        (Some("relative"), "HOME is \"relative\""),
        (Some("/dev/null"), "create the data folder /dev/null/.local"),
    ] {
        let mut command = command(&[]);
        command.envs(home.map(|home| ("HOME", home)));
        let mut process = Process::spawn(&mut command);
        assert_eq!(process.code().await, 1, "{}", process.log());
        assert!(process.stderr().contains("error: "));
        assert!(process.stderr().contains(why), "{why}: {}", process.log());
    }
}

#[tokio::test]
async fn a_resource_file_for_redis_of_dapr_works_unchanged() {
    let test = "run::a_resource_file_for_redis_of_dapr_works_unchanged";
    let Some(redis) = Redis::builder().password("quiet").start(test).await else {
        return;
    };
    let host = redis.host();
    let metadata = format!(
        r"  metadata:
  - name: redisHost
    value: {host}
  - name: redisPassword
    value: quiet
  - name: enableTLS
    value: false
  - name: actorStateStore
    value: true
  - name: redisMaxRetries
    value: 3
"
    );
    let files = ["state.redis", "pubsub.redis"].map(|component_type| {
        let name = component_type.replace('.', "-");
        component(&name, component_type) + &metadata
    });
    let resources = resources(&files.join("---\n"));
    let flag = format!("--resources-path={}", text(resources.path()));
    let host = Host::start(&[&flag, "--app-id=shop"]).await;
    host.save("state-redis", "k", "v").await;
    assert_eq!(host.value("state-redis", "k").await, "\"v\"");
    let kept: Vec<String> = redis
        .command(&["HMGET", "shop||k", "data", "version"])
        .await;
    assert_eq!(kept, ["\"v\"", "1"]);
    let loaded = host.get("/v1.0/metadata").await.text();
    assert!(loaded.contains("pubsub.redis"), "{loaded}");
    assert!(!host.process.log().contains("quiet"));
    host.stop().await;
}

#[tokio::test]
async fn hosts_share_a_data_folder() {
    let data = data();
    let flag = format!("--data-dir={}", text(data.path()));
    let first = Host::start(&[&flag]).await;
    let second = Host::start(&[&flag]).await;
    let other = Host::start(&[&flag, "--app-id=other"]).await;
    first.save("statestore", "k", "of the first").await;
    assert_eq!(second.value("statestore", "k").await, "\"of the first\"");
    assert_eq!(other.value("statestore", "k").await, "");
    other.save("statestore", "k", "of another").await;
    assert_eq!(first.value("statestore", "k").await, "\"of the first\"");
    for host in [first, second, other] {
        host.stop().await;
    }
}

#[tokio::test]
async fn hosts_create_the_data_at_the_same_moment() {
    for _ in 0..rounds(3) {
        let data = data();
        let flag = format!("--data-dir={}", text(&data.path().join("new")));
        let mut starting = JoinSet::new();
        for _ in 0..5 {
            let flag = flag.clone();
            starting.spawn(async move { Host::start(&[&flag]).await });
        }
        let hosts = starting.join_all().await;
        for (number, host) in hosts.iter().enumerate() {
            let components = host.announcement["components"].as_array().unwrap();
            assert_eq!(components.len(), 2, "{}", host.announcement);
            let (key, value) = (format!("k{number}"), format!("of {number}"));
            host.save("statestore", &key, &value).await;
        }
        for host in &hosts {
            for number in 0..hosts.len() {
                let value = host.value("statestore", &format!("k{number}")).await;
                assert_eq!(value, format!("\"of {number}\""));
            }
        }
        for host in hosts {
            host.stop().await;
        }
    }
}

#[tokio::test]
async fn a_served_component_is_used_by_its_type() {
    let sockets = socket_folder();
    let _component = serve(sockets.path(), &["memory"]).await;
    let resources = resources(&component("cache", "state.memory"));
    let host = Host::start(&[
        "--resources-path",
        text(resources.path()),
        "--sockets-folder",
        text(sockets.path()),
    ])
    .await;
    host.save("cache", "k", "over the socket").await;
    assert_eq!(host.value("cache", "k").await, "\"over the socket\"");
    let socket = sockets.path().join("memory.sock");
    let call = ["call", "--instance=cache", "--socket", text(&socket)];
    let seen = run(call.iter().chain(&["state", "get", "app||k"])).await;
    assert_eq!(seen.stdout, "\"over the socket\"\n", "{seen:?}");
    let metadata = host.get("/v1.0/metadata").await;
    let metadata: Value = serde_json::from_slice(&metadata.body).unwrap();
    assert_eq!(metadata["components"][0]["type"], "state.memory");
    host.stop().await;
}

#[tokio::test]
async fn a_late_component_is_attached() {
    let sockets = socket_folder();
    let resources = resources(&component("cache", "state.late"));
    let host = Host::start(&[
        "--resources-path",
        text(resources.path()),
        "--sockets-folder",
        text(sockets.path()),
    ])
    .await;
    assert_eq!(host.announcement["components"], Value::Array(vec![]));
    assert_eq!(host.announcement["waiting"][0]["name"], "cache");
    let _component = serve(sockets.path(), &["memory", "--as", "late"]).await;
    eventually_equal("the component is there", 204, async || {
        let body = r#"[{"key":"k","value":1}]"#;
        host.post("/v1.0/state/cache", body).await.status
    })
    .await;
    assert_eq!(host.value("cache", "k").await, "1");
    host.stop().await;
}

#[tokio::test]
async fn a_component_that_was_killed_is_missed_and_comes_back() {
    let (sockets, data) = (socket_folder(), data());
    let serving = serve(sockets.path(), &["sqlite"]).await;
    let database = data.path().join("state.db");
    let yaml = component("store", "state.sqlite")
        + &format!(
            "  metadata:\n  - {{name: connectionString, value: '{}'}}\n",
            text(&database)
        );
    let resources = resources(&yaml);
    let host = Host::start(&[
        "--resources-path",
        text(resources.path()),
        "--sockets-folder",
        text(sockets.path()),
    ])
    .await;
    host.save("store", "k", "kept").await;

    serving.signal(Signal::KILL);
    // Also what is in flight when it dies ends, as an error.
    let missed = async || host.get("/v1.0/state/store/k").await.status == 500;
    eventually("the component to be missed", missed).await;
    let answer = host.get("/v1.0/state/store/k").await.text();
    let socket = sockets.path().join("sqlite.sock");
    assert!(
        answer.contains("Unavailable") && answer.contains(text(&socket)),
        "{answer}"
    );
    assert_eq!(host.get("/v1.0/healthz").await.status, 204);

    let _serving = serve(sockets.path(), &["sqlite"]).await;
    let back = async || host.get("/v1.0/state/store/k").await.text();
    eventually_equal("the value", "\"kept\"".to_owned(), back).await;
    host.save("store", "k", "again").await;
    host.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_an_error_or_passed_over() {
    let data = data();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run([
        "run",
        "--dapr-http-port",
        &port,
        "--data-dir",
        text(data.path()),
    ])
    .await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let expected = format!("port {port} is in use");
    assert!(ended.stderr.contains(&expected), "{ended:?}");
    assert_eq!(ended.stdout, "");

    // Whether we get it or somebody else has it: it is in use.
    let _default = TcpListener::bind((Ipv4Addr::LOCALHOST, 3500));
    let mut command = pluggable(["run", "--output=json", "--data-dir", text(data.path())]);
    let host = Host::spawn(&mut command).await;
    assert_ne!(host.address().port(), 3500);
    assert_eq!(host.get("/v1.0/healthz").await.status, 204);
    host.stop().await;
}

#[tokio::test]
async fn a_command_finds_the_api_and_decides_on_the_end() {
    let data = data();
    let flag = format!("--data-dir={}", text(data.path()));
    let script = "echo \"app $APP_ID at $DAPR_HTTP_PORT\"; exit 7";
    let mut host = Host::start(&[&flag, "--app-id=shop", "--", "sh", "-c", script]).await;
    assert_eq!(host.process.code().await, 7, "{}", host.process.log());
    let said = format!("app shop at {}", host.address().port());
    assert!(
        host.process.stdout().contains(&said),
        "{}",
        host.process.log()
    );

    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let mut host = Host::start(&[&flag, "--", program]).await;
        assert_eq!(host.process.code().await, code, "{}", host.process.log());
    }
}

#[tokio::test]
async fn the_api_is_there_until_the_command_is_gone() {
    let data = data();
    let go = data.path().join("go");
    let flag = format!("--data-dir={}", text(data.path()));
    let script = format!(
        "trap 'echo last words; until test -e {}; do sleep 0.05; done; exit 4' TERM
        echo trap is set; while :; do sleep 0.05; done",
        text(&go)
    );
    let mut host = Host::start(&[&flag, "--", "sh", "-c", &script]).await;
    host.process.says("trap is set").await;
    host.process.signal(Signal::TERM);
    host.process.says("last words").await;
    host.save("statestore", "k", "in time").await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(host.process.code().await, 4, "{}", host.process.log());
    let again = Host::start(&[&flag]).await;
    assert_eq!(again.value("statestore", "k").await, "\"in time\"");
    again.stop().await;
}

#[tokio::test]
async fn an_application_can_ask_for_the_end() {
    let data = data();
    let flag = format!("--data-dir={}", text(data.path()));
    let mut host = Host::start(&[&flag]).await;
    assert_eq!(host.post("/v1.0/shutdown", "").await.status, 204);
    assert_eq!(host.process.code().await, 0, "{}", host.process.log());

    let script = "trap 'echo told; exit 3' TERM; echo trap is set; while :; do sleep 0.05; done";
    let mut host = Host::start(&[&flag, "--", "sh", "-c", script]).await;
    host.process.says("trap is set").await;
    assert_eq!(host.post("/v1.0/shutdown", "").await.status, 204);
    assert_eq!(host.process.code().await, 3, "{}", host.process.log());
}

#[tokio::test]
async fn resources_without_a_component_are_noticed() {
    let folder = resources("kind: component\n");
    let path = text(folder.path());
    let mut command = pluggable(["run", "--dapr-http-port=0", "--resources-path", path]);
    command.env("DAPR_COMPONENTS_SOCKETS_FOLDER", "/nowhere/at/all");
    let mut process = Process::spawn(&mut command);
    process.says("no components").await;
    process.signal(Signal::TERM);
    assert_eq!(process.code().await, 0, "{}", process.log());
}

#[tokio::test]
async fn what_is_wrong_with_resources_is_named() {
    let missing = run([
        "run",
        "--dapr-http-port=0",
        "--resources-path",
        "/no/such/folder",
    ])
    .await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("/no/such/folder"), "{missing:?}");

    let no_connection = resources(&component("store", "state.sqlite"));
    let mut process = Process::spawn(&mut command(&[
        "--resources-path",
        text(no_connection.path()),
    ]));
    assert_eq!(process.code().await, 1, "{}", process.log());
    for part in [
        "error: ",
        "store (state.sqlite/v1)",
        "connectionString",
        "component.yaml:1",
    ] {
        assert!(process.stderr().contains(part), "{part}: {}", process.log());
    }
}

#[tokio::test]
async fn a_component_of_this_process_is_known_by_daprs_names() {
    let resources = resources(&component("cache", "state.in-memory"));
    let host = Host::start(&["--resources-path", text(resources.path())]).await;
    host.save("cache", "k", "v").await;
    assert_eq!(host.value("cache", "k").await, "\"v\"");
    assert_eq!(host.announcement["data_dir"], Value::Null);
    host.stop().await;
}

#[tokio::test]
async fn a_second_signal_cuts_the_stop_short() {
    let data = data();
    let flag = format!("--data-dir={}", text(data.path()));
    let script = "trap 'echo waiting' TERM; echo trap is set; while :; do sleep 0.05; done";
    let mut host = Host::start(&[&flag, "--", "sh", "-c", script]).await;
    host.process.says("trap is set").await;
    host.process.signal(Signal::TERM);
    host.process.says("waiting for its end").await;
    host.process.signal(Signal::INT);
    assert_eq!(host.process.code().await, 130, "{}", host.process.log());
    eventually("the port is free", async || {
        TcpListener::bind(host.address()).is_ok()
    })
    .await;
    assert!(
        Path::new(data.path())
            .join("statestore.db")
            .try_exists()
            .unwrap()
    );
}

#[tokio::test]
async fn a_key_pressed_on_a_terminal_reaches_the_command_once() {
    let name = "a_key_pressed_on_a_terminal_reaches_the_command_once";
    if Command::new("script")
        .arg("--version")
        .output()
        .await
        .is_err()
    {
        skip_missing(name, "script", "install the package bsdutils");
        return;
    }
    let data = data();
    // `script` has a shell start it, which would tell of its own end by the key.
    let line = format!(
        "exec {} run --dapr-http-port=0 --data-dir={} -- sh -c '{}'",
        env!("CARGO_BIN_EXE_pluggable"),
        text(data.path()),
        "trap \"echo interrupted; exit 6\" INT; echo trap is set; while :; do sleep 0.05; done"
    );
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut terminal = Process::spawn(&mut command);
    let mut keyboard = terminal.stdin().unwrap();
    terminal.says("trap is set").await;
    keyboard.write_all(b"\x03").await.unwrap();
    assert_eq!(terminal.code().await, 6, "{}", terminal.log());
    let log = terminal.log();
    assert_eq!(log.matches("interrupted").count(), 1, "{log}");
    assert!(!log.contains("cut short"), "{log}");
}
