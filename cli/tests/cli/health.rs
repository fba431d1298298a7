//! The verb `health`.

use dapr_pluggable_testbed::{Process, socket_folder};

use crate::program::{pluggable, run, serve, text};

#[tokio::test]
async fn it_waits_until_a_component_serves() {
    let folder = socket_folder();
    let mut health = Process::spawn(&mut pluggable([
        "health",
        "--wait",
        "10m",
        "--sockets-folder",
        text(folder.path()),
        "memory",
    ]));
    let _component = serve(folder.path(), &["memory"]).await;
    assert_eq!(health.code().await, 0, "{}", health.log());
    let socket = folder.path().join("memory.sock");
    assert_eq!(health.stdout(), format!("{} is served\n", text(&socket)));
}

#[tokio::test]
async fn it_says_who_does_not_serve() {
    let folder = socket_folder();
    let socket = folder.path().join("memory.sock");
    let ended = run(["health", "--socket", text(&socket)]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    assert!(ended.stderr.contains(text(&socket)), "{ended:?}");
}

#[tokio::test]
async fn it_asks_about_one_service() {
    let folder = socket_folder();
    let _component = serve(folder.path(), &["memory"]).await;
    let ask = async |service| {
        let folder = text(folder.path());
        run([
            "health",
            "--sockets-folder",
            folder,
            "memory",
            "--service",
            service,
        ])
        .await
    };
    let known = ask("dapr.proto.components.v1.StateStore").await;
    assert_eq!(known.code, 0, "{known:?}");
    let unknown = ask("dapr.proto.components.v1.Nothing").await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("does not know the service"));
}
