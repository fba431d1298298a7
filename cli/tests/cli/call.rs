//! The verb `call`, against components that this program serves.

use std::path::{Path, PathBuf};

use dapr_pluggable_testbed::{Process, Signal, socket_folder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::program::{Ended, pluggable, run, serve, text};

/// A component that is served, and how to call it.
struct Served {
    folder: TempDir,
    socket: PathBuf,
    _component: Process,
}

impl Served {
    async fn new(name: &str) -> Self {
        let folder = socket_folder();
        let component = serve(folder.path(), &[name]).await;
        let socket = folder.path().join(format!("{name}.sock"));
        Self {
            folder,
            socket,
            _component: component,
        }
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let start = ["call", "--socket", text(&self.socket)];
        start.iter().chain(arguments).copied().collect()
    }

    async fn call(&self, arguments: &[&str]) -> Ended {
        run(self.arguments(arguments)).await
    }

    /// What a call prints that succeeds.
    async fn gives(&self, arguments: &[&str]) -> String {
        let ended = self.call(arguments).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended.stdout
    }

    async fn gives_json(&self, arguments: &[&str]) -> Value {
        let output = self.gives(&[arguments, &["--output=json"]].concat()).await;
        serde_json::from_str(&output).unwrap()
    }

    fn file(&self, content: &[u8]) -> String {
        let path = self.folder.path().join("content");
        std::fs::write(&path, content).unwrap();
        format!("@{}", text(&path))
    }
}

/// What a call prints, to the byte.
async fn raw_output(arguments: &[&str]) -> Vec<u8> {
    let output = pluggable(arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[tokio::test]
async fn a_value_is_written_read_and_removed() {
    let memory = Served::new("memory").await;
    assert_eq!(
        memory
            .gives(&["--init", "state", "set", "greeting", "hello"])
            .await,
        ""
    );
    let get = memory.arguments(&["state", "get", "greeting"]);
    assert_eq!(raw_output(&get).await, b"hello");
    assert_eq!(memory.gives(&["state", "delete", "greeting"]).await, "");
    let gone = memory.call(&["state", "get", "greeting"]).await;
    assert_eq!((gone.code, gone.stdout.as_str()), (3, ""));
    assert!(gone.stderr.contains("there is no value for \"greeting\""));
}

#[tokio::test]
async fn bytes_come_from_files_and_standard_input_and_back_as_they_were() {
    let memory = Served::new("memory").await;
    let bytes = [0, 255, 10, 13];
    let file = memory.file(&bytes);
    memory
        .gives(&["--init", "state", "set", "photo", &file])
        .await;
    let get = memory.arguments(&["state", "get", "photo"]);
    assert_eq!(raw_output(&get).await, bytes);
    let item = memory.gives_json(&["state", "get", "photo"]).await;
    assert_eq!(item["base64"], "AP8KDQ==");

    let mut command = pluggable(memory.arguments(&["state", "set", "piped", "-"]));
    command.stdin(std::process::Stdio::piped());
    let mut process = Process::spawn(&mut command);
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"from a pipe").await.unwrap();
    drop(stdin);
    assert_eq!(process.code().await, 0, "{}", process.log());
    let item = memory.gives_json(&["state", "get", "piped"]).await;
    assert_eq!(item["value"], "from a pipe");
}

#[tokio::test]
async fn etags_and_other_writers_are_minded() {
    let memory = Served::new("memory").await;
    memory.gives(&["--init", "state", "set", "k", "1"]).await;
    let item = memory.gives_json(&["state", "get", "k"]).await;
    assert_eq!(item["found"], true);
    let etag = item["etag"].as_str().unwrap();
    memory
        .gives(&["state", "set", "k", "2", "--etag", etag])
        .await;
    let late = memory
        .call(&["state", "set", "k", "3", "--etag", etag])
        .await;
    assert_eq!(late.code, 1);
    assert!(
        late.stderr.starts_with("error: FAILED_PRECONDITION: "),
        "{late:?}"
    );
    let second = memory
        .call(&["state", "set", "k", "3", "--concurrency=first-write"])
        .await;
    assert_eq!(second.code, 1, "{second:?}");
    assert_eq!(memory.gives(&["state", "get", "k"]).await, "2\n");
    memory
        .gives(&["state", "set", "short", "x", "--ttl", "600"])
        .await;
    let item = memory.gives_json(&["state", "get", "short"]).await;
    assert!(item["metadata"]["ttlExpireTime"].is_string(), "{item}");
}

#[tokio::test]
async fn many_keys_go_in_one_call() {
    let memory = Served::new("memory").await;
    memory
        .gives(&["--init", "state", "bulk-set", "a=1", "b=x=y"])
        .await;
    let some = memory.call(&["state", "bulk-get", "a", "b", "c"]).await;
    assert_eq!((some.code, some.stdout.as_str()), (0, "a\t1\nb\tx=y\n"));
    assert!(some.stderr.contains("no value for \"c\""));
    let items = memory.gives_json(&["state", "bulk-get", "b", "c"]).await;
    assert_eq!(items[0]["value"], "x=y");
    assert_eq!(items[1], json!({ "key": "c", "found": false }));
    memory.gives(&["state", "bulk-delete", "a", "b"]).await;
    assert_eq!(memory.gives(&["state", "bulk-get", "a", "b"]).await, "");
}

#[tokio::test]
async fn transactions_and_queries_speak_daprs_json() {
    let memory = Served::new("memory").await;
    let transaction = r#"{"operations":[
        {"operation":"upsert","request":{"key":"x","value":{"city":"Rome","n":2}}},
        {"operation":"upsert","request":{"key":"y","value":{"city":"Oslo","n":1}}}]}"#;
    memory
        .gives(&["--init", "state", "transact", transaction])
        .await;
    let query = r#"{"filter":{"IN":{"city":["Rome","Oslo"]}},"sort":[{"key":"n"}]}"#;
    let found = memory.gives(&["state", "query", query]).await;
    assert_eq!(
        found,
        "y\t{\"city\":\"Oslo\",\"n\":1}\nx\t{\"city\":\"Rome\",\"n\":2}\n"
    );
    let paged = r#"{"filter":{},"page":{"limit":1}}"#;
    let page = memory.gives_json(&["state", "query", paged]).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert!(page["token"].is_string(), "{page}");

    let broken = r#"{"operations":[{"operation":"delete","request":{"key":"x"}},
        {"operation":"delete","request":{"key":"y","etag":"never"}}]}"#;
    assert_eq!(memory.call(&["state", "transact", broken]).await.code, 1);
    assert_eq!(
        memory.gives(&["state", "get", "x"]).await,
        "{\"city\":\"Rome\",\"n\":2}\n"
    );
    let nonsense = memory.call(&["state", "transact", "{"]).await;
    assert_eq!(nonsense.code, 1);
    assert!(
        nonsense.stderr.contains("read the transaction"),
        "{nonsense:?}"
    );
}

#[tokio::test]
async fn a_message_stays_until_it_is_acknowledged() {
    let memory = Served::new("memory").await;
    let open = ["--metadata", "consumerID=me", "pubsub", "ping"];
    memory.gives(&open).await;
    memory
        .gives(&["pubsub", "bulk-publish", "news", "one", "two"])
        .await;
    let pull = ["pubsub", "pull", "news", "--count=1", "--timeout=20s"];
    assert_eq!(
        memory.gives(&[&pull[..], &["--no-ack"]].concat()).await,
        "one\n"
    );
    assert_eq!(
        memory
            .gives(&[&pull[..], &["--reject=later"]].concat())
            .await
            .lines()
            .count(),
        1
    );
    let both = memory
        .gives(&["pubsub", "pull", "news", "--count=2", "--timeout=20s"])
        .await;
    let mut lines: Vec<&str> = both.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);
    let nothing = ["pubsub", "pull", "news", "--count=1", "--timeout=200ms"];
    assert_eq!(memory.call(&nothing).await.code, 3);
}

#[tokio::test]
async fn options_of_a_request_arrive() {
    let memory = Served::new("memory").await;
    let ttl = ["--request-metadata", "ttlInSeconds=600"];
    let set = ["--init", "state", "set", "k", "1", "--consistency=strong"];
    memory.gives(&[&set[..], &ttl].concat()).await;
    let item = memory.gives_json(&["state", "get", "k"]).await;
    assert!(item["metadata"]["ttlExpireTime"].is_string(), "{item}");
    let bad = ["--request-metadata", "ttlInSeconds=foo"];
    for refused in [
        &["state", "set", "k", "2"][..],
        &["state", "bulk-set", "k=2"],
        &["--init", "pubsub", "publish", "news", "hi"],
    ] {
        let ended = memory.call(&[refused, &bad].concat()).await;
        assert_eq!(ended.code, 1, "{refused:?}: {ended:?}");
        for part in ["INVALID_ARGUMENT", "ttlInSeconds", "\"foo\""] {
            assert!(ended.stderr.contains(part), "{refused:?}: {ended:?}");
        }
    }
    assert_eq!(memory.gives(&["state", "get", "k"]).await, "1\n");

    let typed = ["--content-type=text/plain", "--request-metadata=from=here"];
    let publish = ["pubsub", "publish", "news", "hi"];
    memory.gives(&[&publish[..], &typed].concat()).await;
    let pull = ["pubsub", "pull", "news", "--count=1", "--timeout=20s"];
    let message = memory.gives_json(&pull).await;
    assert_eq!(message["content_type"], "text/plain");
    assert_eq!(message["metadata"]["from"], "here", "{message}");
    let create = ["--init", "binding", "invoke", "create", "event"];
    memory.gives(&[&create[..], &typed[1..]].concat()).await;
    let read = ["--init", "binding", "read", "--count=1", "--timeout=20s"];
    let event = memory.gives_json(&read).await;
    assert_eq!(event["metadata"]["from"], "here", "{event}");
    memory.gives(&["--init", "binding", "ping"]).await;
    memory.gives(&["--init", "secret", "ping"]).await;
}

#[tokio::test]
async fn a_pause_of_who_receives_nothing_holds_nobody_up() {
    let memory = Served::new("memory").await;
    let early = memory.call(&["pubsub", "pause"]).await;
    assert!(early.stderr.contains("FAILED_PRECONDITION"), "{early:?}");
    memory.gives(&["--init", "pubsub", "pause"]).await;
    memory.gives(&["pubsub", "publish", "news", "hi"]).await;
    let pull = ["pubsub", "pull", "news", "--count=1", "--timeout=20s"];
    assert_eq!(memory.gives(&pull).await, "hi\n");
    memory.gives(&["pubsub", "resume"]).await;
}

#[tokio::test]
async fn pulling_goes_on_until_a_signal() {
    let memory = Served::new("memory").await;
    memory.gives(&["--init", "pubsub", "ping"]).await;
    let mut pull = Process::spawn(&mut pluggable(memory.arguments(&[
        "--output=json",
        "pubsub",
        "pull",
        "news",
    ])));
    // Published again until the subscription is there.
    dapr_pluggable_testbed::eventually("a message comes", async || {
        memory.gives(&["pubsub", "publish", "news", "hi"]).await;
        !pull.stdout().is_empty()
    })
    .await;
    pull.signal(Signal::TERM);
    assert_eq!(pull.code().await, 143, "{}", pull.log());
    for line in pull.stdout().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&message["topic"], &message["value"]),
            (&json!("news"), &json!("hi"))
        );
    }
}

#[tokio::test]
async fn events_go_out_and_come_in() {
    let memory = Served::new("memory").await;
    let operations = memory
        .gives_json(&["--init", "binding", "operations"])
        .await;
    assert!(
        operations["operations"]
            .as_array()
            .unwrap()
            .contains(&json!("create"))
    );
    memory
        .gives(&["--init", "binding", "ping", "--input"])
        .await;
    memory
        .gives(&["binding", "invoke", "create", "an event"])
        .await;
    let read = ["binding", "read", "--count=1", "--timeout=20s"];
    assert_eq!(memory.gives(&read).await, "an event\n");
    let unknown = memory.call(&["binding", "invoke", "explode"]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("explode"), "{unknown:?}");
}

#[tokio::test]
async fn secrets_are_printed() {
    let memory = Served::new("memory").await;
    let password = ["--metadata", "password=s3cret", "secret", "get", "password"];
    assert_eq!(memory.gives(&password).await, "s3cret\n");
    let all = memory.gives_json(&["secret", "bulk"]).await;
    assert_eq!(all["password"]["password"], "s3cret");
    let missing = memory.call(&["secret", "get", "none"]).await;
    assert_eq!(missing.code, 3);
    assert!(
        missing.stderr.starts_with("error: NOT_FOUND: "),
        "{missing:?}"
    );
}

#[tokio::test]
async fn an_instance_that_nobody_opened_is_told_how_to() {
    let memory = Served::new("memory").await;
    let ended = memory
        .call(&["--instance=orders", "state", "get", "k"])
        .await;
    assert_eq!(ended.code, 1);
    for part in ["FAILED_PRECONDITION", "\"orders\"", "--init"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}

#[tokio::test]
async fn instances_have_data_of_their_own() {
    let memory = Served::new("memory").await;
    memory
        .gives(&["--instance=a", "--init", "state", "set", "k", "of a"])
        .await;
    memory
        .gives(&["--instance=b", "--init", "state", "set", "k", "of b"])
        .await;
    assert_eq!(
        memory.gives(&["--instance=a", "state", "get", "k"]).await,
        "of a\n"
    );
    assert_eq!(
        memory.gives(&["--instance=b", "state", "get", "k"]).await,
        "of b\n"
    );
}

#[tokio::test]
async fn an_instance_says_what_it_can_do() {
    let memory = Served::new("memory").await;
    memory.gives(&["--init", "state", "ping"]).await;
    let features = memory.gives_json(&["state", "features"]).await;
    let features = features["features"].as_array().unwrap().clone();
    for feature in ["ETAG", "TRANSACTIONAL", "TTL", "QUERY_API"] {
        let times = features.iter().filter(|has| **has == feature).count();
        assert_eq!(times, 1, "{feature} in {features:?}");
    }
    let of_broker = memory.gives(&["--init", "pubsub", "features"]).await;
    for feature in ["BULK_PUBSUB", "MESSAGE_TTL", "SUBSCRIBE_WILDCARDS"] {
        assert!(of_broker.lines().any(|line| line == feature), "{of_broker}");
    }
    memory.gives(&["--init", "secret", "features"]).await;
    let limit = memory.gives(&["state", "max-operations"]).await;
    assert_eq!(limit, "unlimited\n");
    let limit = memory.gives_json(&["state", "max-operations"]).await;
    assert_eq!(limit, json!({ "max_operations": null }));
}

#[tokio::test]
async fn metadata_opens_a_database() {
    let sqlite = Served::new("sqlite").await;
    let database = sqlite.folder.path().join("data.db");
    let connection = format!("connectionString={}", text(&database));
    sqlite
        .gives(&["--metadata", &connection, "state", "set", "k", "kept"])
        .await;
    assert!(Path::new(&database).try_exists().unwrap());
    assert_eq!(sqlite.gives(&["state", "get", "k"]).await, "kept\n");
    let wrong = ["--metadata", &connection, "--metadata", "busyTimeout=soon"];
    let ended = sqlite
        .call(&[&wrong[..], &["state", "ping"]].concat())
        .await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("busyTimeout"), "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_called_is_named() {
    let folder = socket_folder();
    let socket = folder.path().join("none.sock");
    let ended = run(["call", "--socket", text(&socket), "state", "get", "k"]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.starts_with("error: UNAVAILABLE: connect to "),
        "{ended:?}"
    );
    let silent = folder.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let socket = ["call", "--socket", text(&silent), "--timeout=200ms"];
    let ended = run(socket.iter().chain(&["state", "get", "k"])).await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("no answer within 200ms"), "{ended:?}");
}
