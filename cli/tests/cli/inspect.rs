//! The verb `inspect`, with real bad files.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use dapr_pluggable_testbed::socket_folder;
use serde_json::Value;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::program::{Ended, run, serve, text};

async fn inspect(folder: &Path, arguments: &[&str]) -> Ended {
    let folder = ["inspect", "--sockets-folder", text(folder)];
    run(folder.iter().chain(arguments)).await
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The file of that name in a report.
fn socket<'a>(report: &'a Value, file: &str) -> &'a Value {
    let mut sockets = report["sockets"].as_array().unwrap().iter();
    let found = sockets.find(|socket| socket["path"].as_str().unwrap().ends_with(file));
    found.unwrap_or_else(|| panic!("{file} is not in {report:#}"))
}

/// What is said about it: `error stale`.
fn problems(of: &Value) -> Vec<String> {
    let problems = of["problems"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    problems
        .map(|problem| word(&problem["severity"]) + " " + &word(&problem["code"]))
        .collect()
}

#[tokio::test]
async fn a_component_is_shown_as_a_runtime_sees_it() {
    let folder = socket_folder();
    let component = serve(folder.path(), &["memory", "--socket-mode=0640"]).await;
    let ended = inspect(folder.path(), &["--output=json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = json(&ended);
    let memory = socket(&report, "/memory.sock");
    assert_eq!(memory["name"], "memory");
    assert_eq!(memory["mode"], "0640");
    assert_eq!(memory["process"]["pid"], component.id());
    assert_eq!(memory["process"]["name"], "pluggable");
    assert_eq!(
        memory["types"],
        serde_json::json!([
            "bindings.memory",
            "pubsub.memory",
            "secretstores.memory",
            "state.memory"
        ])
    );
    assert!(memory["latency_us"].as_u64().is_some());
    assert!(problems(memory).is_empty());
    let services = memory["services"].as_array().unwrap();
    assert!(services.contains(&"dapr.proto.components.v1.StateStore".into()));

    let for_people = inspect(folder.path(), &[]).await;
    assert_eq!(for_people.code, 0);
    for part in [
        "memory.sock  answers in ",
        "state.memory",
        "0640 ",
        "TransactionalStateStore",
    ] {
        assert!(
            for_people.stdout.contains(part),
            "{part}: {}",
            for_people.stdout
        );
    }
    assert!(
        !for_people.stdout.contains('\x1b'),
        "colour, but no terminal"
    );
}

#[tokio::test]
async fn a_name_that_replaces_a_builtin_is_a_warning() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["sqlite"]).await;
    let ended = inspect(folder.path(), &["--output=json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = json(&ended);
    assert_eq!(
        problems(socket(&report, "/sqlite.sock")),
        ["warning replaces-builtin"]
    );
    assert!(ended.stdout.contains("state.sqlite of this name"));
}

#[tokio::test]
async fn what_a_runtime_cannot_use_is_named() {
    let folder = socket_folder();
    let path = |name: &str| folder.path().join(name);
    drop(UnixListener::bind(path("stale.sock")).unwrap());
    std::fs::write(path("file.sock"), "").unwrap();
    symlink(path("stale.sock"), path("link.sock")).unwrap();
    std::fs::create_dir(path("folder.sock")).unwrap();
    let _silent = UnixListener::bind(path("silent.sock")).unwrap();
    let rude = tokio::net::UnixListener::bind(path("rude.sock")).unwrap();
    let rude = tokio::spawn(async move {
        // Takes every connection, and drops it.
        while rude.accept().await.is_ok() {}
    });
    let mute = tokio::net::UnixListener::bind(path("mute.sock")).unwrap();
    let mute = Server::builder()
        .add_routes(Routes::default())
        .serve_with_incoming(UnixListenerStream::new(mute));
    let mute = tokio::spawn(mute);

    let ended = inspect(folder.path(), &["--output=json", "--timeout=300ms"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = json(&ended);
    for (file, expected) in [
        ("/stale.sock", "error stale"),
        ("/file.sock", "warning not-a-socket"),
        ("/link.sock", "error symlink"),
        ("/silent.sock", "error unreachable"),
        ("/rude.sock", "error no-answer"),
        ("/mute.sock", "error no-reflection"),
    ] {
        assert_eq!(problems(socket(&report, file)), [expected], "{file}");
    }
    assert_eq!(report["sockets"].as_array().unwrap().len(), 6, "{report:#}");

    let for_people = inspect(folder.path(), &["--timeout=300ms"]).await;
    assert_eq!(for_people.code, 1);
    let hangs = for_people.stdout.matches("daprd would hang here").count();
    assert_eq!(hangs, 2, "{}", for_people.stdout);
    assert!(
        path("stale.sock").try_exists().unwrap(),
        "nothing is touched"
    );
    rude.abort();
    mute.abort();
}

#[tokio::test]
async fn a_socket_that_daprds_user_may_not_use_is_an_error() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory", "--socket-mode=0600"]).await;
    let as_user = async |user| {
        let ended = inspect(folder.path(), &["--output=json", "--user", user]).await;
        let report = json(&ended);
        (ended.code, problems(socket(&report, "/memory.sock")))
    };
    assert_eq!(
        as_user("4242").await,
        (1, vec!["error forbidden".to_owned()])
    );
    assert_eq!(as_user("root").await, (0, vec![]));
    let permissions = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(folder.path().join("memory.sock"), permissions).unwrap();
    assert_eq!(as_user("4242").await, (0, vec![]));
    let permissions = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    assert_eq!(
        as_user("4242").await,
        (1, vec!["error forbidden".to_owned()])
    );
}

#[tokio::test]
async fn a_path_that_is_too_long_is_an_error() {
    let folder = socket_folder();
    let long = folder.path().join("x".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let short = folder.path().join("s");
    symlink(&long, &short).unwrap();
    let _listener = UnixListener::bind(short.join("a.sock")).unwrap();
    let ended = inspect(&long, &["--output=json"]).await;
    assert_eq!(ended.code, 1);
    let report = json(&ended);
    assert_eq!(
        problems(socket(&report, "/a.sock")),
        ["error path-too-long"]
    );
}

#[tokio::test]
async fn two_files_of_one_name_are_an_error() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    std::fs::hard_link(
        folder.path().join("memory.sock"),
        folder.path().join("Memory.v"),
    )
    .unwrap();
    let ended = inspect(folder.path(), &["--output=json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(
        problems(socket(&json(&ended), "/memory.sock")),
        ["error same-name"]
    );
}

#[tokio::test]
async fn one_socket_can_be_looked_at() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    let socket = folder.path().join("memory.sock");
    let ended = run(["inspect", "--socket", text(&socket)]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("state.memory"));
    for (file, why) in [
        (folder.path(), "not a socket"),
        (Path::new("/no/such"), "cannot look"),
    ] {
        let ended = run(["inspect", "--socket", text(file)]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stdout.contains(why), "{ended:?}");
    }
}

#[tokio::test]
async fn a_folder_is_found_as_daprd_finds_it() {
    let folder = socket_folder();
    let empty = inspect(folder.path(), &[]).await;
    assert_eq!(empty.code, 0);
    assert!(
        empty.stdout.contains("no component is served here"),
        "{empty:?}"
    );
    let missing = inspect(&folder.path().join("none"), &["--output=json"]).await;
    assert_eq!(missing.code, 1);
    assert_eq!(
        problems(&json(&missing)),
        ["warning folder-not-daprds", "error no-folder"]
    );
}
