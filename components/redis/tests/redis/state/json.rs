//! JSON values and queries. No package brings the modules for them, so a server that answers as they do takes part here,
//! and the script that writes documents runs on a real one that stands in for RedisJSON.

use std::sync::{Arc, Mutex};

use dapr_pluggable::state::{
    Filter, GetRequest, Operation, Page, Parallelism, Query, SetRequest, StateStore,
};
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::{Redis, within};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{delete, try_open};

const INDEXES: &str = r#"[{"name": "people", "indexes": [{"key": "org", "type": "TEXT"}]}]"#;

/// A server with the modules, which answers what it is told to.
struct Modules {
    host: String,
    /// The commands, without those of the connection.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Modules {
    async fn start(answer: fn(&[String], usize) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        // It ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), answer));
            }
        });
        Self { host, seen }
    }

    async fn open(&self) -> Arc<dyn StateStore> {
        let metadata =
            Metadata::from([("redisHost", self.host.as_str()), ("queryIndexes", INDEXES)]);
        within("an open", try_open(&metadata)).await.unwrap()
    }

    /// The commands since the last call, each in one line.
    fn seen(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.iter().map(|words| words.join(" ")).collect()
    }
}

async fn serve(
    stream: TcpStream,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
    answer: fn(&[String], usize) -> String,
) {
    let mut stream = BufReader::new(stream);
    while let Some(words) = command(&mut stream).await {
        let reply = match words[0].to_uppercase().as_str() {
            "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(),
            "CLIENT" => "+OK\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            "INFO" => bulk("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"),
            "JSON.GET" if words.len() == 1 => {
                "-ERR wrong number of arguments for 'JSON.GET' command\r\n".to_owned()
            }
            _ => {
                let earlier = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(words.clone());
                    seen.len() - 1
                };
                answer(&words, earlier)
            }
        };
        if stream.get_mut().write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number(stream, '$').await?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

async fn number(stream: &mut BufReader<TcpStream>, mark: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.strip_prefix(mark)?.trim_end().parse().ok()
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn as_json(mut request: SetRequest) -> SetRequest {
    request.metadata.insert("contentType", "application/json");
    request
}

fn reading_json(key: &str) -> GetRequest {
    let mut request = GetRequest::new(key);
    request.metadata.insert("contentType", "application/json");
    request
}

/// What comes after the name of a script.
fn arguments(command: &str) -> &str {
    command.splitn(3, ' ').nth(2).unwrap()
}

#[tokio::test]
async fn json_values_are_documents() {
    let modules = Modules::start(|words, _| match words[0].as_str() {
        // The script for one hash, else that for transactions.
        "EVALSHA" if words.len() == 8 => ":1\r\n".to_owned(),
        "EVALSHA" => ":0\r\n".to_owned(),
        "JSON.GET" if words[1] == "there" => bulk(r#"{"data":{"b":1.50, "a":"x"},"version":3}"#),
        "JSON.GET" if words[1] == "broken" => bulk(r#"{"data":1}"#),
        "JSON.GET" => "_\r\n".to_owned(),
        _ => "+OK\r\n".to_owned(),
    })
    .await;
    let store = modules.open().await;
    modules.seen();
    assert!(store.queryable().is_some());

    let entry = store.get(reading_json("there")).await.unwrap().unwrap();
    assert_eq!(entry.value, r#"{"b":1.50, "a":"x"}"#);
    assert_eq!(entry.etag, Some("3".into()));
    assert_eq!(store.get(reading_json("missing")).await.unwrap(), None);
    let error = store.get(reading_json("broken")).await.unwrap_err();
    assert!(error.message().contains("\"broken\""), "{error}");
    assert_eq!(
        modules.seen(),
        ["JSON.GET there", "JSON.GET missing", "JSON.GET broken"]
    );

    let value = r#"{"b": 1.50, "a": 12345678901234567890}"#;
    store
        .set(as_json(SetRequest::new("key", value)))
        .await
        .unwrap();
    let mut typed = SetRequest::new("key", "\"text\"");
    typed.content_type = Some("application/json".to_owned());
    typed.etag = Some("4".into());
    typed.metadata.insert("ttlInSeconds", "5");
    store.set(typed).await.unwrap();
    let mut gone = delete("key", Some("5"));
    gone.metadata.insert("contentType", "application/json");
    store.delete(gone).await.unwrap();
    let seen = modules.seen();
    let seen: Vec<&str> = seen.iter().map(|command| arguments(command)).collect();
    assert_eq!(
        seen,
        [
            format!("1 key set json  {{\"data\":{value} 0 ").as_str(),
            "1 key set json 4 {\"data\":\"text\" 0 5",
            "1 key delete json 5   ",
        ]
    );

    let of_both = vec![
        as_json(SetRequest::new("a", "1")),
        SetRequest::new("b", "not JSON"),
    ];
    let each = Parallelism::default();
    store.bulk_set(of_both.clone(), each).await.unwrap();
    let seen = modules.seen();
    assert!(arguments(&seen[0]).starts_with("1 a set json"), "{seen:?}");
    assert_eq!(arguments(&seen[1]), "1 b  not JSON 0 ");

    let transactional = store.transactional().unwrap();
    let operations = of_both.into_iter().map(Operation::Set).collect();
    transactional
        .transact(operations, Metadata::new())
        .await
        .unwrap();
    assert_eq!(
        arguments(&modules.seen()[0]),
        "2 a b set json  {\"data\":1 0  set hash  not JSON 0 "
    );
}

#[tokio::test]
async fn what_is_no_json_is_refused_before_it_is_sent() {
    let modules = Modules::start(|_, _| "+OK\r\n".to_owned()).await;
    let store = modules.open().await;
    modules.seen();
    for bad in ["", "text", "{", "1 2", r#"1,"version":9"#, "\u{0}"] {
        let error = store
            .set(as_json(SetRequest::new("key", bad)))
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidRequest, "{bad}");
        assert!(error.message().contains("key key"), "{error}");
    }
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(
        store
            .set(as_json(SetRequest::new("key", deep)))
            .await
            .is_err()
    );
    assert_eq!(modules.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn indexes_are_made_again_and_searched() {
    let modules = Modules::start(|words, earlier| match words[0].as_str() {
        "FT.CREATE" if earlier == 0 => "-Index already exists\r\n".to_owned(),
        "FT.SEARCH" if words[2] == "*" => format!(
            "%2\r\n{}:1\r\n{}*1\r\n%2\r\n{}{}{}%2\r\n{}{}{}{}",
            bulk("total_results"),
            bulk("results"),
            bulk("id"),
            bulk("app||k"),
            bulk("extra_attributes"),
            bulk("$.data"),
            bulk("{\"org\":\"A\"}"),
            bulk("$.version"),
            bulk("2"),
        ),
        "FT.SEARCH" => "*1\r\n:0\r\n".to_owned(),
        _ => "+OK\r\n".to_owned(),
    })
    .await;
    let store = modules.open().await;
    let create = "FT.CREATE people ON JSON SCHEMA $.data.org AS var0 TEXT SORTABLE";
    assert_eq!(modules.seen(), [create, "FT.DROPINDEX people", create]);
    let queryable = store.queryable().unwrap();
    let mut query = Query::default();
    query.metadata.insert("queryIndexName", "people");
    query.page = Page::first(2);
    let page = queryable.query(query.clone()).await.unwrap();
    assert_eq!(page.items[0].key, "app||k");
    assert_eq!(page.items[0].value, r#"{"org":"A"}"#);
    assert_eq!(page.token.as_deref(), Some("1"));
    query.filter = Filter::from_json(&json!({"NEQ": {"org": "A"}})).unwrap();
    let page = queryable.query(query).await.unwrap();
    assert_eq!((page.items.len(), page.token), (0, None));
    assert_eq!(
        modules.seen(),
        [
            "FT.SEARCH people * LIMIT 0 2 RETURN 2 $.data $.version",
            "FT.SEARCH people -(@var0:(A)) LIMIT 0 2 RETURN 2 $.data $.version",
        ]
    );
}

#[tokio::test]
async fn a_server_without_the_modules_has_no_queries() {
    let Some(redis) = Redis::start("a_server_without_the_modules_has_no_queries").await else {
        return;
    };
    let store = super::open(&redis, &[]).await;
    assert!(store.queryable().is_none());
    let metadata = super::metadata(&redis, &[("queryIndexes", INDEXES)]);
    let error = try_open(&metadata).await.err().unwrap();
    assert!(
        error.message().contains("error registering query schemas"),
        "{error}"
    );
}

/// Keeps documents as strings, for the script that writes them.
const STAND_IN: &str = r#"
local real = redis
local redis = { error_reply = real.error_reply }
function redis.call(name, key, ...)
  local words = { ... }
  if name == 'TYPE' then
    local kind = real.call('TYPE', key)
    return kind.ok == 'string' and { ok = 'ReJSON-RL' } or kind
  elseif name == 'JSON.SET' then
    cjson.decode(words[2])
    return real.call('SET', key, words[2], 'KEEPTTL')
  elseif name == 'JSON.GET' then
    local member = cjson.decode(real.call('GET', key))[string.sub(words[1], 2)]
    return member and string.format('%d', member) or { err = 'ERR no such path' }
  end
  return real.call(name, key, ...)
end
redis.pcall = redis.call
"#;

#[tokio::test]
async fn documents_follow_the_rules_of_versions() {
    let Some(redis) = Redis::start("documents_follow_the_rules_of_versions").await else {
        return;
    };
    let script = format!(
        "{STAND_IN}{}",
        include_str!("../../../src/state/transact.lua")
    );
    // An operation, the version that it expects, whether it is a first-write; the answer, and what is then there.
    for (op, expected, first, answer, left) in [
        ("set", "", "0", 0, Some(r#"{"data":1,"version":1}"#)),
        ("set", "", "0", 0, Some(r#"{"data":1,"version":2}"#)),
        ("set", "1", "0", 1, Some(r#"{"data":1,"version":2}"#)),
        (
            "set",
            "2",
            "1",
            0,
            Some(r#"{"data":1,"version":3,"first-write":0}"#),
        ),
        (
            "set",
            "",
            "0",
            1,
            Some(r#"{"data":1,"version":3,"first-write":0}"#),
        ),
        (
            "set",
            "",
            "1",
            1,
            Some(r#"{"data":1,"version":3,"first-write":0}"#),
        ),
        ("set", "3", "0", 0, Some(r#"{"data":1,"version":4}"#)),
        ("delete", "3", "", 1, Some(r#"{"data":1,"version":4}"#)),
        ("delete", "4", "", 0, None),
        ("delete", "4", "", 1, None),
        ("delete", "", "", 0, None),
        // On a missing key a document goes on from the version of the etag.
        ("set", "7", "0", 0, Some(r#"{"data":1,"version":8}"#)),
    ] {
        let data = if op == "set" { r#"{"data":1"# } else { "" };
        let words = [
            "EVAL", &script, "1", "key", op, "json", expected, data, first, "",
        ];
        let number: i64 = redis.command(&words).await;
        let there: Option<String> = redis.command(&["GET", "key"]).await;
        assert_eq!(
            (number, there.as_deref()),
            (answer, left),
            "{op} {expected:?} {first}"
        );
    }
    // The forms give way to one another.
    let hash = [
        "EVAL", &script, "1", "key", "set", "hash", "8", "1", "0", "",
    ];
    let number: i64 = redis.command(&hash).await;
    assert_eq!(number, 0);
    assert_eq!(
        super::fields(&redis, "key").await,
        ["data", "1", "version", "1"]
    );
    let document = [
        "EVAL",
        &script,
        "1",
        "key",
        "set",
        "json",
        "",
        "{\"data\":1",
        "0",
        "",
    ];
    let number: i64 = redis.command(&document).await;
    assert_eq!(number, 0);
    let there: String = redis.command(&["GET", "key"]).await;
    assert_eq!(there, r#"{"data":1,"version":1}"#);
}
