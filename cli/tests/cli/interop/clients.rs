//! What a peer finds that calls our components as Dapr's runtime does.

use dapr_pluggable_testbed::{Peer, Process, socket_folder, unique};
use serde_json::Value;

use crate::program::{serve, text};

/// Has a peer check the memory component, all of it.
pub(super) async fn check_memory(peer: &Peer) {
    let metadata = ["user=ada", "password=lovelace", "consumerID=peer"];
    check(peer, "memory", "state,pubsub,binding,secret", &metadata).await;
}

/// Has a peer check the sqlite component, all of it.
pub(super) async fn check_sqlite(peer: &Peer) {
    let folder = socket_folder();
    let database = folder.path().join("peer.db");
    let metadata = [
        &format!("connectionString={}", text(&database)),
        "consumerID=peer",
    ];
    check(peer, "sqlite", "state,pubsub", &metadata).await;
}

async fn check(peer: &Peer, component: &str, blocks: &str, metadata: &[&str]) {
    let folder = socket_folder();
    let mut serving = serve(folder.path(), &[component]).await;
    let socket = folder.path().join(format!("{component}.sock"));
    let (instance, blocks) = (unique("peer"), format!("--blocks={blocks}"));
    let mut command = peer.command(["check", "--socket", text(&socket), "--instance", &instance]);
    command.arg(blocks);
    for entry in metadata {
        command.args(["--metadata", entry]);
    }
    let mut checking = Process::spawn(&mut command);
    let code = checking.code().await;
    assert_eq!(code, 0, "{}\n{}", checking.log(), serving.log());
    let outcomes: Vec<Value> = checking
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(outcomes.len() > 5, "{outcomes:?}");
    assert!(
        outcomes.iter().all(|outcome| outcome["ok"] == true),
        "{outcomes:?}"
    );
    assert!(serving.stop().await.success(), "{}", serving.log());
}
