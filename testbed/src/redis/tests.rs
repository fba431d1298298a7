use std::collections::BTreeMap;

use redis::Value;
use rustix::process::test_kill_process;

use super::*;
use crate::patience::eventually;

#[tokio::test]
async fn it_answers_and_goes_with_its_owner() {
    let Some(redis) = Redis::start("it_answers_and_goes_with_its_owner").await else {
        return;
    };
    let bytes: &[u8] = &[0, 255, 13, 10];
    let words: [&[u8]; 4] = [b"HSET", b"key", b"field", bytes];
    let set: Value = redis.command(&words).await;
    assert_eq!(set, Value::Int(1));
    let fields: BTreeMap<String, Vec<u8>> = redis.command(&["HGETALL", "key"]).await;
    assert_eq!(fields, BTreeMap::from([("field".into(), bytes.to_vec())]));
    let error = redis.try_command::<String>(&["GET", "key"]).await;
    assert_eq!(error.unwrap_err().code(), Some("WRONGTYPE"));

    let (id, folder) = (redis.process().pid(), redis.folder().to_owned());
    drop(redis);
    eventually("it is gone", async || test_kill_process(id).is_err()).await;
    assert!(!folder.try_exists().unwrap());
}

#[tokio::test]
async fn it_goes_with_the_thread_that_started_it() {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .unwrap()
            .block_on(Redis::start("it_goes_with_the_thread_that_started_it"))
    };
    let Some(redis) = std::thread::spawn(start).join().unwrap() else {
        return;
    };
    eventually("it is gone", async || {
        redis.try_command::<String>(&["PING"]).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn only_who_knows_the_password_gets_in() {
    let builder = Redis::builder().password("open").user("sesame", "street");
    let Some(redis) = builder.start("only_who_knows_the_password_gets_in").await else {
        return;
    };
    let login = async |user: &str, password: &str| {
        let url = format!("redis://{user}:{password}@{}", redis.host());
        let client = redis::Client::open(url).unwrap();
        within("a login", client.get_multiplexed_async_connection())
            .await
            .is_ok()
    };
    assert!(login("", "open").await);
    assert!(login("sesame", "street").await);
    assert!(!login("sesame", "open").await);
    assert!(!login("", "street").await);
    let who: String = redis.command(&["ACL", "WHOAMI"]).await;
    assert_eq!(who, "default");
}

#[tokio::test]
async fn it_comes_back_with_what_it_has_on_disk() {
    let test = "it_comes_back_with_what_it_has_on_disk";
    let builders = [Redis::builder().append_only(), Redis::builder()];
    for (builder, kept) in builders.into_iter().zip([Some("3"), None]) {
        let Some(mut redis) = builder.start(test).await else {
            return;
        };
        let host = redis.host();
        let _: i64 = redis.command(&["INCR", "n"]).await;
        redis.stop().await;
        assert!(redis.try_command::<String>(&["PING"]).await.is_err());
        redis.start_again().await;
        let _: i64 = redis.command(&["INCRBY", "n", "2"]).await;
        redis.kill().await;
        redis.start_again().await;
        assert_eq!(redis.host(), host);
        let value: Option<String> = redis.command(&["GET", "n"]).await;
        assert_eq!(value.as_deref(), kept);
    }
}

#[tokio::test]
async fn a_replica_follows_and_takes_no_writes() {
    let test = "a_replica_follows_and_takes_no_writes";
    let Some(primary) = Redis::builder().password("open").start(test).await else {
        return;
    };
    let replica = Redis::builder().replica_of(&primary).start(test).await;
    let replica = replica.unwrap();
    let _: String = primary.command(&["SET", "key", "value"]).await;
    eventually("the replica has it", async || {
        let value: Option<String> = replica.command(&["GET", "key"]).await;
        value.as_deref() == Some("value")
    })
    .await;
    let error = replica
        .try_command::<String>(&["SET", "key", "other"])
        .await;
    assert_eq!(error.unwrap_err().code(), Some("READONLY"));
}

#[tokio::test]
async fn it_speaks_tls_with_whom_it_should() {
    let test = "it_speaks_tls_with_whom_it_should";
    for (builder, lets_anybody_in) in [
        (Redis::builder().tls(), true),
        (Redis::builder().mutual_tls(), false),
    ] {
        let Some(redis) = builder.start(test).await else {
            return;
        };
        let known: [&str; 4] = ["--cert", "client.pem", "--key", "client.key"];
        let trusting = ["--tls", "--cacert", "ca.pem"];
        assert_eq!(
            ping(&redis, &[&trusting[..], &known].concat()).await,
            "PONG\n"
        );
        let anybody = ping(&redis, &trusting).await;
        assert_eq!(anybody == "PONG\n", lets_anybody_in, "{anybody}");
        assert_ne!(ping(&redis, &["--tls"]).await, "PONG\n");
        assert_ne!(ping(&redis, &[]).await, "PONG\n");
        let made = redis.certificates();
        let file = std::fs::read_to_string(redis.folder().join("client.key"));
        assert_eq!(file.unwrap(), made.client_key);
        assert!(made.client.contains("BEGIN CERTIFICATE"));
        assert_ne!(made.client, made.authority);
    }
}

/// What a client of Redis's own hears.
async fn ping(redis: &Redis, options: &[&str]) -> String {
    let port = redis.port().to_string();
    let mut command = Command::new("redis-cli");
    command
        .args(["-h", "127.0.0.1", "-p", &port])
        .args(options)
        .arg("PING")
        .current_dir(redis.folder())
        .stdin(Stdio::null());
    let output = within("an answer", command.kill_on_drop(true).output()).await;
    let output = output.unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
