//! A single server that goes away, and networks that are bad.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{GetRequest, Parallelism};
use dapr_pluggable_testbed::{Proxy, Redis, eventually};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{FAST, fails_fast, get, open, refusal, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_a_restart() {
    let test = "everything_acknowledged_survives_a_restart";
    let Some(mut redis) = Redis::builder().append_only().start(test).await else {
        return;
    };
    let host = redis.host();
    let store = open(&[("redisHost", &host)]).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), stop.clone());
        async move {
            let (mut acknowledged, mut failed) = (Vec::new(), 0);
            let mut number = 0;
            while !stop.is_cancelled() {
                let key = format!("key-{number}");
                number += 1;
                let begin = Instant::now();
                let written = set(&store, &key, &key).await;
                assert!(begin.elapsed() < FAST, "{:?}", begin.elapsed());
                match written {
                    Ok(()) => acknowledged.push(key),
                    Err(error) => {
                        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
                        failed += 1;
                        // Errors come at once: this is for the log's sake.
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            (acknowledged, failed)
        }
    });
    for _ in 0..3 {
        eventually("there is something", async || {
            redis.command::<i64>(&["DBSIZE"]).await > 20
        })
        .await;
        redis.kill().await;
        fails_fast(&store).await;
        redis.start_again().await;
        let back = Instant::now();
        eventually("the store works", async || {
            set(&store, "back", "x").await.is_ok()
        })
        .await;
        assert!(
            back.elapsed() < Duration::from_secs(2),
            "{:?}",
            back.elapsed()
        );
    }
    stop.cancel();
    let (acknowledged, failed) = load.await.unwrap();
    assert!(failed > 0);
    for key in acknowledged {
        assert_eq!(get(&store, &key).await.unwrap(), Some(key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_notice_that_a_connection_is_cut() {
    let test = "reads_do_not_notice_that_a_connection_is_cut";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let host = redis.host();
    let pause = ("redisMaxRetryInterval", "10ms");
    let store = open(&[("redisHost", &host), pause]).await;
    set(&store, "key", "value").await.unwrap();
    for _ in 0..20 {
        let gets = (0..8).map(|_| get(&store, "key"));
        let kill = async {
            let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        };
        let (found, ()) = tokio::join!(futures::future::join_all(gets), kill);
        for found in found {
            assert_eq!(found.unwrap().as_deref(), Some("value"));
        }
    }
    // A connection that went while nobody used it is another one for the next write.
    let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    eventually("it connects again", async || clients(&redis).await == 1).await;
    set(&store, "key", "other").await.unwrap();
}

#[tokio::test]
async fn long_pauses_between_attempts_do_not_hold_up_a_read() {
    let test = "long_pauses_between_attempts_do_not_hold_up_a_read";
    let Some(mut redis) = Redis::start(test).await else {
        return;
    };
    let store = open(&[
        ("redisHost", &redis.host()),
        ("redisMaxRetries", "5"),
        ("redisMinRetryInterval", "2s"),
        ("redisMaxRetryInterval", "10s"),
    ])
    .await;
    redis.kill().await;
    fails_fast(&store).await;
    let begin = Instant::now();
    let gets = ["a", "b"].map(GetRequest::new).to_vec();
    let error = store.bulk_get(gets, Parallelism::default()).await;
    assert_eq!(*error.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begin.elapsed() < FAST, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn connections_that_end_at_once_are_opened_with_pauses() {
    let test = "connections_that_end_at_once_are_opened_with_pauses";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let begin = Instant::now();
    let _store = open(&[
        ("redisHost", &redis.host()),
        ("redisMinRetryInterval", "100ms"),
    ])
    .await;
    for _ in 0..4 {
        eventually("it connects", async || clients(&redis).await == 1).await;
        let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    }
    eventually("it connects", async || clients(&redis).await == 1).await;
    assert!(
        begin.elapsed() >= Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
}

/// How many connections a server has, but for the one that asks.
async fn clients(redis: &Redis) -> usize {
    let list: String = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
    list.lines().count() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_costs_no_more_than_the_time_out() {
    let test = "a_half_open_connection_costs_no_more_than_the_time_out";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let mut proxy = Proxy::start(&redis.host()).await;
    let host = proxy.host();
    let store = open(&[
        ("redisHost", &host),
        ("readTimeout", "300ms"),
        ("dialTimeout", "500ms"),
    ])
    .await;
    set(&store, "key", "value").await.unwrap();

    proxy.stall().await;
    for _ in 0..5 {
        let begin = Instant::now();
        let (read, written) = tokio::join!(get(&store, "key"), set(&store, "other", "x"));
        for error in [read.unwrap_err(), written.unwrap_err()] {
            assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        }
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }
    let error = refusal(&[("redisHost", &host), ("dialTimeout", "300ms")]).await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("300ms"), "{error}");

    proxy.mend().await;
    eventually("the store works", async || {
        get(&store, "key").await.is_ok_and(|value| value.is_some())
    })
    .await;

    proxy.cut().await;
    fails_fast(&store).await;
    proxy.mend().await;
    eventually("the store works", async || {
        set(&store, "key", "x").await.is_ok()
    })
    .await;
    proxy.delay(Duration::from_millis(30)).await;
    assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("x"));
}

#[tokio::test]
async fn who_is_not_let_in_hears_why() {
    let test = "who_is_not_let_in_hears_why";
    let Some(redis) = Redis::builder().password("sesame").start(test).await else {
        return;
    };
    let host = redis.host();
    for (properties, kind, text) in [
        (
            &[("redisPassword", "street")][..],
            ErrorKind::Denied,
            "WRONGPASS",
        ),
        (&[][..], ErrorKind::Denied, "NOAUTH"),
        (
            &[("redisPassword", "sesame"), ("redisUsername", "nobody")][..],
            ErrorKind::Denied,
            "redisUsername",
        ),
        (
            &[("redisPassword", "sesame"), ("redisDB", "99")][..],
            ErrorKind::InvalidSettings,
            "redisDB",
        ),
    ] {
        let properties = [&[("redisHost", host.as_str())], properties].concat();
        let error = refusal(&properties).await;
        assert_eq!(*error.kind(), kind, "{error}");
        let message = error.message();
        assert!(message.contains(text), "{message}");
        assert!(
            message.contains("redis store: error connecting to redis"),
            "{message}"
        );
        assert!(message.contains(&host), "{message}");
        assert!(
            !message.contains("sesame") && !message.contains("street"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_password_that_changes_bars_who_connects_anew() {
    let test = "a_password_that_changes_bars_who_connects_anew";
    let Some(redis) = Redis::builder().user("app", "sesame").start(test).await else {
        return;
    };
    let store = open(&[
        ("redisHost", &redis.host()),
        ("redisUsername", "app"),
        ("redisPassword", "sesame"),
    ])
    .await;
    let change = async |password: &str| {
        let change = ["ACL", "SETUSER", "app", "resetpass", password];
        let _: String = redis.command(&change).await;
    };
    change(">other").await;
    set(&store, "key", "value").await.unwrap();

    let _: i64 = redis.command(&["CLIENT", "KILL", "USER", "app"]).await;
    eventually("it is not let in", async || {
        let outcome = set(&store, "key", "other").await;
        outcome.is_err_and(|error| *error.kind() == ErrorKind::Denied)
    })
    .await;
    for error in [
        set(&store, "key", "other").await.unwrap_err(),
        get(&store, "key").await.unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.message().contains("redisPassword"), "{error}");
        assert!(!error.message().contains("sesame"), "{error}");
    }
    change(">sesame").await;
    eventually("it is let in", async || {
        set(&store, "key", "new").await.is_ok()
    })
    .await;
    assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_says_why() {
    let test = "a_server_that_takes_no_writes_says_why";
    let Some(redis) = Redis::start(test).await else {
        return;
    };
    let store = open(&[("redisHost", &redis.host())]).await;
    set(&store, "key", "old").await.unwrap();
    for (refuse, allow, kind, text) in [
        (
            &["CONFIG", "SET", "maxmemory", "1"][..],
            &["CONFIG", "SET", "maxmemory", "0"][..],
            ErrorKind::Throttled,
            "maxmemory",
        ),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
            ErrorKind::Unavailable,
            "NOREPLICAS",
        ),
        (
            &["ACL", "SETUSER", "default", "-evalsha"],
            &["ACL", "SETUSER", "default", "+evalsha"],
            ErrorKind::Denied,
            "ACL",
        ),
    ] {
        let _: String = redis.command(refuse).await;
        let error = set(&store, "key", "new").await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(
            error.message().starts_with("failed to set key key"),
            "{error}"
        );
        assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("old"));
        let _: String = redis.command(allow).await;
    }
    set(&store, "key", "new").await.unwrap();
}

#[tokio::test]
async fn a_replica_says_that_it_is_one() {
    let test = "a_replica_says_that_it_is_one";
    let Some(primary) = Redis::start(test).await else {
        return;
    };
    let replica = Redis::builder().replica_of(&primary).start(test).await;
    let replica = replica.unwrap();
    let store = open(&[("redisHost", &replica.host())]).await;
    let before: i64 = connections(&replica).await;
    for _ in 0..20 {
        let error = set(&store, "key", "value").await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("READONLY"), "{error}");
        assert!(error.message().contains("primary"), "{error}");
        assert_eq!(get(&store, "key").await.unwrap(), None);
    }
    assert!(connections(&replica).await - before < 10);
}

async fn connections(redis: &Redis) -> i64 {
    let info: String = redis.command(&["INFO", "stats"]).await;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    // The questions come on connections of their own.
    let asked = 1;
    line.unwrap().trim().parse::<i64>().unwrap() - asked
}

#[tokio::test]
async fn servers_before_version_6_are_talked_to_as_they_can() {
    let test = "servers_before_version_6_are_talked_to_as_they_can";
    let builder = Redis::builder().option("rename-command", &["HELLO", ""]);
    let Some(redis) = builder.start(test).await else {
        return;
    };
    let store = open(&[("redisHost", &redis.host())]).await;
    set(&store, "key", "value").await.unwrap();
    assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("value"));
    let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("value"));
    set(&store, "key", "other").await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let port = dapr_pluggable_testbed::free_port();
    for (host, text) in [
        (format!("127.0.0.1:{port}"), "nothing listens"),
        ("no-such-host.invalid:1".to_owned(), "name service"),
    ] {
        let error = refusal(&[("redisHost", &host)]).await;
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        for part in [text, &host, "error connecting to redis"] {
            assert!(error.message().contains(part), "{error}");
        }
    }
}
