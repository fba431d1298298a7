//! Values with a limited life.

use std::time::Duration;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Concurrency, Etag, GetRequest, Parallelism, SetRequest};
use jiff::{Timestamp, ToSpan as _};
use tokio::time::Instant;

use super::{ETAG, Store, TTL, check};
use crate::check::{Check, Finding, Verdict};
use crate::expect::{equal, holds, refused};

const EXPIRE_TIME: &str = "ttlExpireTime";
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("ttl::expires", &[TTL], expires),
        check("ttl::bad", &[TTL], bad),
        check("ttl::none_is_for_ever", &[TTL], none_is_for_ever),
        check("ttl::expire_time", &[TTL], expire_time),
        check("ttl::a_later_write_decides", &[TTL], a_later_write_decides),
        check(
            "ttl::a_write_without_ends_it",
            &[TTL],
            a_write_without_ends_it,
        ),
        check("ttl::expired_is_missing", &[TTL, ETAG], expired_is_missing),
        check(
            "ttl::expired_has_no_etag",
            &[TTL, ETAG],
            expired_has_no_etag,
        ),
    ]
}

/// A value is there for its time, not much longer, and gone for every way to read it.
async fn expires(store: Store) -> Verdict {
    let key = store.key("key");
    let kept = store.stored("kept", "value").await?;
    let before = Instant::now();
    store.store.set(with_ttl(&key, "value", "2")).await?;
    // Where time counts in whole seconds, the first may be short.
    let least = Duration::from_secs(1);
    expired(&store, &key).await?;
    holds(
        "a value with 2 s to live to be there for more than one",
        before.elapsed() >= least,
    )?;
    let answers = store
        .store
        .bulk_get(vec![GetRequest::new(&key)], Parallelism::default())
        .await?;
    for answer in answers {
        equal("an expired key in a bulk get", answer.outcome?, None)?;
    }
    store.holds(&kept, Some("value")).await
}

/// What is no number of seconds, and more of them than any clock has.
async fn bad(store: Store) -> Verdict {
    let key = store.key("key");
    for ttl in ["foo", "1.5", "9223372036854775807"] {
        let outcome = store.store.set(with_ttl(&key, "value", ttl)).await;
        let what = format!("a set with ttlInSeconds {ttl:?}");
        refused(what, outcome, &[ErrorKind::InvalidRequest])?;
    }
    store.holds(&key, None).await
}

async fn none_is_for_ever(store: Store) -> Verdict {
    for ttl in ["-1", "0"] {
        let key = store.key(ttl);
        store.store.set(with_ttl(&key, "value", ttl)).await?;
        equal(
            format!("the expiry with ttlInSeconds {ttl}"),
            expiry(&store, &key).await?,
            None,
        )?;
    }
    let key = store.stored("plain", "value").await?;
    equal(
        "the expiry without ttlInSeconds",
        expiry(&store, &key).await?,
        None,
    )
}

async fn expire_time(store: Store) -> Verdict {
    let key = store.key("key");
    store.store.set(with_ttl(&key, "value", "3600")).await?;
    let found = expiry(&store, &key).await?;
    in_an_hour(found.as_deref())?;
    let answers = store
        .store
        .bulk_get(vec![GetRequest::new(&key)], Parallelism::default())
        .await?;
    for answer in answers {
        let entry = answer.outcome?;
        let found = entry.and_then(|entry| entry.metadata.get(EXPIRE_TIME).map(str::to_owned));
        in_an_hour(found.as_deref())?;
    }
    store.store.set(with_ttl(&key, "value", "-1")).await?;
    equal(
        "the expiry after a write with ttlInSeconds -1",
        expiry(&store, &key).await?,
        None,
    )
}

async fn a_later_write_decides(store: Store) -> Verdict {
    for ttl in ["3600", "-1"] {
        let key = store.key(ttl);
        store.store.set(with_ttl(&key, "0", "1")).await?;
        store.store.set(with_ttl(&key, "1", ttl)).await?;
        outlives(&store, &key, "1").await?;
    }
    Ok(())
}

async fn a_write_without_ends_it(store: Store) -> Verdict {
    let key = store.key("key");
    store.store.set(with_ttl(&key, "0", "1")).await?;
    store.put(&key, "1").await?;
    outlives(&store, &key, "1").await
}

/// An expired value is no value for conditions either.
async fn expired_is_missing(store: Store) -> Verdict {
    let key = store.key("key");
    expired_etag(&store, &key).await?;
    let mut request = SetRequest::new(&key, "new");
    request.concurrency = Concurrency::FirstWrite;
    store.store.set(request).await?;
    store.holds(&key, Some("new")).await
}

async fn expired_has_no_etag(store: Store) -> Verdict {
    let key = store.key("key");
    if let Some(etag) = expired_etag(&store, &key).await? {
        let request = super::with_etag(SetRequest::new(&key, "stale"), &etag);
        let outcome = store.store.set(request).await;
        refused(
            "a set with the etag of an expired value",
            outcome,
            &[ErrorKind::EtagMismatch],
        )?;
    }
    store.holds(&key, None).await
}

/// The etag of a value that was under a key and has expired.
async fn expired_etag(store: &Store, key: &str) -> Verdict<Option<Etag>> {
    store.store.set(with_ttl(key, "old", "1")).await?;
    let etag = store.entry(key).await?.and_then(|entry| entry.etag);
    expired(store, key).await?;
    Ok(etag)
}

/// A value is there when one has expired that was written later and had longer to live than it once had.
async fn outlives(store: &Store, key: &str, value: &'static str) -> Verdict {
    let other = format!("{key}-other");
    store.store.set(with_ttl(&other, "value", "2")).await?;
    expired(store, &other).await?;
    store.holds(key, Some(value)).await
}

fn with_ttl(key: &str, value: &'static str, ttl: &str) -> SetRequest {
    let mut request = SetRequest::new(key, value);
    request.metadata.insert("ttlInSeconds", ttl);
    request
}

async fn expired(store: &Store, key: &str) -> Verdict {
    let wait = async {
        while store.entry(key).await?.is_some() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    };
    store
        .fixture
        .within("the end of a value's life", wait)
        .await?
}

/// When a value that is there expires, as the store says it.
async fn expiry(store: &Store, key: &str) -> Verdict<Option<String>> {
    let entry = store
        .entry(key)
        .await?
        .ok_or_else(|| Finding::Failed(format!("expected a value under {key:?}")))?;
    Ok(entry.metadata.get(EXPIRE_TIME).map(str::to_owned))
}

fn in_an_hour(expiry: Option<&str>) -> Verdict {
    let Some(text) = expiry else {
        return Err(Finding::Failed(format!(
            "expected {EXPIRE_TIME} in the metadata of a value with ttlInSeconds"
        )));
    };
    let time: Timestamp = text
        .parse()
        .map_err(|error| Finding::Failed(format!("{EXPIRE_TIME} is {text:?}: {error}")))?;
    let now = Timestamp::now();
    holds(
        format!("{EXPIRE_TIME} {text} to be an hour from {now}"),
        time > now + 50.minutes() && time < now + 70.minutes(),
    )
}
