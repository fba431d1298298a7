//! The time to live of values.

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Operation, SetRequest};
use dapr_pluggable_testbed::Redis;

use super::{get, metadata, open, transact, try_open};

/// The seconds that a key has to live, as the server says it; -1 is without end.
async fn left(redis: &Redis) -> i64 {
    redis.command(&["TTL", "key"]).await
}

fn set(ttl: Option<&str>) -> SetRequest {
    let mut request = SetRequest::new("key", "value");
    if let Some(ttl) = ttl {
        request.metadata.insert("ttlInSeconds", ttl);
    }
    request
}

#[tokio::test]
async fn a_write_without_keeps_it_and_none_or_less_ends_it() {
    let Some(redis) = Redis::start("a_write_without_keeps_it_and_none_or_less_ends_it").await
    else {
        return;
    };
    let store = open(&redis, &[]).await;
    for in_transaction in [false, true] {
        for (ttl, expected) in [
            (None, -1),
            (Some("100"), 100),
            (None, 100),
            (Some(""), 100),
            (Some("-1"), -1),
            (Some("100"), 100),
            (Some("0"), -1),
            (Some("+200"), 200),
            (Some("-5"), -1),
            (Some("2147483648"), 2_147_483_648),
            (Some("9000000000000000"), 9_000_000_000_000_000),
            (Some("-1"), -1),
        ] {
            if in_transaction {
                let operations = vec![Operation::Set(set(ttl))];
                transact(&store, operations).await.unwrap();
            } else {
                store.set(set(ttl)).await.unwrap();
            }
            let left = left(&redis).await;
            // The server rounds to whole seconds, and some time may have passed.
            assert!((expected - 9..=expected).contains(&left), "{ttl:?}: {left}");
        }
    }
}

#[tokio::test]
async fn a_bad_one_is_an_error_and_changes_nothing() {
    let Some(redis) = Redis::start("a_bad_one_is_an_error_and_changes_nothing").await else {
        return;
    };
    let store = open(&redis, &[]).await;
    for ttl in ["1h", "1.5", " 5", "9000000000000001", "9223372036854775808"] {
        let request = set(Some(ttl));
        for outcome in [
            store.set(request.clone()).await,
            transact(
                &store,
                vec![Operation::Set(set(None)), Operation::Set(request)],
            )
            .await,
        ] {
            let error = outcome.unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::InvalidRequest, "{error}");
            let text = "failed to parse ttl from metadata";
            assert!(error.message().starts_with(text), "{error}");
        }
    }
    assert_eq!(get(&store, "key").await, None);
}

#[tokio::test]
async fn the_component_may_have_one() {
    let Some(redis) = Redis::start("the_component_may_have_one").await else {
        return;
    };
    let store = open(&redis, &[("ttlInSeconds", "100")]).await;
    for (ttl, expected) in [
        (None, 100),
        (Some("500"), 500),
        (None, 100),
        (Some("-1"), -1),
    ] {
        store.set(set(ttl)).await.unwrap();
        let left = left(&redis).await;
        assert!((expected - 9..=expected).contains(&left), "{ttl:?}: {left}");
    }
    let bad = metadata(&redis, &[("ttlInSeconds", "9000000000000001")]);
    let error = try_open(&bad).await.err().unwrap();
    assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
    assert!(error.message().contains("ttlInSeconds"), "{error}");
}
