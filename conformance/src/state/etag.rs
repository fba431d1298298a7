//! Conditions on what is stored: etags and first writes.

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Concurrency, Etag, SetRequest};
use futures::future::join_all;

use super::{ETAG, Store, check, delete_with_etag, with_etag};
use crate::check::{Check, Verdict};
use crate::expect::{equal, holds, refused};

/// How many writers a race has.
const WRITERS: usize = 8;

const MISMATCH: &[ErrorKind] = &[ErrorKind::EtagMismatch];

pub(super) fn checks() -> Vec<Check> {
    vec![
        check(
            "etag::changes_with_every_write",
            &[ETAG],
            changes_with_every_write,
        ),
        check("etag::match", &[ETAG], matching),
        check("etag::mismatch", &[ETAG], mismatch),
        check("etag::set_of_missing_key", &[ETAG], set_of_missing_key),
        check(
            "etag::delete_of_missing_key",
            &[ETAG],
            delete_of_missing_key,
        ),
        check("etag::unknown_text", &[ETAG], unknown_text),
        check("etag::empty_is_none", &[ETAG], empty_is_none),
        check("etag::never_comes_again", &[ETAG], never_comes_again),
        check("etag::delete", &[ETAG], delete),
        check(
            "etag::one_of_many_writers_wins",
            &[ETAG],
            one_of_many_writers_wins,
        ),
        check(
            "etag::last_write_needs_none",
            &[ETAG],
            last_write_needs_none,
        ),
        check("first_write::creates_once", &[ETAG], creates_once),
        check("first_write::with_etag", &[ETAG], first_write_with_etag),
        check(
            "first_write::one_of_many_writers_wins",
            &[ETAG],
            one_of_many_creators_wins,
        ),
    ]
}

async fn changes_with_every_write(store: Store) -> Verdict {
    let key = store.stored("key", "same").await?;
    let first = store.etag(&key).await?;
    equal(
        "the etag of a second read",
        store.etag(&key).await?,
        first.clone(),
    )?;
    store.put(&key, "same").await?;
    let second = store.etag(&key).await?;
    holds(
        format!("another etag than {first} after a write of the same value"),
        second != first,
    )
}

async fn matching(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let etag = store.etag(&key).await?;
    let request = with_etag(SetRequest::new(&key, "1"), &etag);
    store.store.set(request).await?;
    store.holds(&key, Some("1")).await
}

async fn mismatch(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let stale = store.etag(&key).await?;
    store.put(&key, "1").await?;
    for concurrency in [Concurrency::Unspecified, Concurrency::FirstWrite] {
        let mut request = with_etag(SetRequest::new(&key, "2"), &stale);
        request.concurrency = concurrency;
        let outcome = store.store.set(request).await;
        refused("a set with a stale etag", outcome, MISMATCH)?;
        store.holds(&key, Some("1")).await?;
    }
    Ok(())
}

async fn set_of_missing_key(store: Store) -> Verdict {
    let other = store.stored("other", "value").await?;
    let etag = store.etag(&other).await?;
    let key = store.key("missing");
    let request = with_etag(SetRequest::new(&key, "value"), &etag);
    let outcome = store.store.set(request).await;
    refused("a set with an etag of a missing key", outcome, MISMATCH)?;
    store.holds(&key, None).await
}

async fn delete_of_missing_key(store: Store) -> Verdict {
    let key = store.stored("key", "value").await?;
    let etag = store.etag(&key).await?;
    store.store.delete(delete_with_etag(&key, &etag)).await?;
    for key in [key, store.key("never-there")] {
        let outcome = store.store.delete(delete_with_etag(&key, &etag)).await;
        refused("a delete with an etag of a missing key", outcome, MISMATCH)?;
    }
    Ok(())
}

/// An etag that the store never gave is a mismatch, or invalid where it can tell.
async fn unknown_text(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let kinds = [ErrorKind::EtagMismatch, ErrorKind::EtagInvalid];
    for text in ["bad-etag", "9999999", "'", "grüße", &"9".repeat(10_000)] {
        let etag = Etag::new(text);
        let outcome = store
            .store
            .set(with_etag(SetRequest::new(&key, "1"), &etag))
            .await;
        refused("a set with an etag of no value", outcome, &kinds)?;
        let outcome = store.store.delete(delete_with_etag(&key, &etag)).await;
        refused("a delete with an etag of no value", outcome, &kinds)?;
    }
    store.holds(&key, Some("0")).await
}

async fn empty_is_none(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let none = Etag::new("");
    let request = with_etag(SetRequest::new(&key, "1"), &none);
    store.store.set(request).await?;
    store.holds(&key, Some("1")).await?;
    store.store.delete(delete_with_etag(&key, &none)).await?;
    store.holds(&key, None).await
}

/// Who read a value before it was removed and made again must not overwrite the new one.
async fn never_comes_again(store: Store) -> Verdict {
    let key = store.stored("key", "same").await?;
    let mut seen = vec![store.etag(&key).await?];
    for _ in 0..3 {
        store.delete(&key).await?;
        store.put(&key, "same").await?;
        let etag = store.etag(&key).await?;
        holds(
            format!("an etag that is new after a delete, not {etag} again"),
            !seen.contains(&etag),
        )?;
        seen.push(etag);
    }
    for stale in seen.iter().take(3) {
        let outcome = store
            .store
            .set(with_etag(SetRequest::new(&key, "stale"), stale))
            .await;
        refused("a set with an etag from before a delete", outcome, MISMATCH)?;
    }
    store.holds(&key, Some("same")).await
}

async fn delete(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let stale = store.etag(&key).await?;
    store.put(&key, "1").await?;
    let outcome = store.store.delete(delete_with_etag(&key, &stale)).await;
    refused("a delete with a stale etag", outcome, MISMATCH)?;
    store.holds(&key, Some("1")).await?;
    let etag = store.etag(&key).await?;
    store.store.delete(delete_with_etag(&key, &etag)).await?;
    store.holds(&key, None).await
}

async fn one_of_many_writers_wins(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let etag = store.etag(&key).await?;
    let writes = (0..WRITERS).map(|writer| {
        let request = with_etag(SetRequest::new(&key, writer.to_string()), &etag);
        store.store.set(request)
    });
    one_wins("writers with one etag", join_all(writes).await)
}

/// Without an etag, a last write goes over whatever is there.
async fn last_write_needs_none(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    store.put(&key, "1").await?;
    let mut request = SetRequest::new(&key, "2");
    request.concurrency = Concurrency::LastWrite;
    store.store.set(request).await?;
    store.holds(&key, Some("2")).await
}

async fn creates_once(store: Store) -> Verdict {
    let key = store.key("key");
    store.store.set(first_write(&key, "first")).await?;
    for etag in [None, Some(Etag::new(""))] {
        let mut request = first_write(&key, "second");
        request.etag = etag;
        let outcome = store.store.set(request).await;
        refused("a first write over a value", outcome, MISMATCH)?;
    }
    store.holds(&key, Some("first")).await?;
    store.delete(&key).await?;
    store.store.set(first_write(&key, "again")).await?;
    store.holds(&key, Some("again")).await
}

async fn first_write_with_etag(store: Store) -> Verdict {
    let key = store.stored("key", "0").await?;
    let etag = store.etag(&key).await?;
    store
        .store
        .set(with_etag(first_write(&key, "1"), &etag))
        .await?;
    let outcome = store
        .store
        .set(with_etag(first_write(&key, "2"), &etag))
        .await;
    refused("a first write with a stale etag", outcome, MISMATCH)?;
    store.holds(&key, Some("1")).await
}

async fn one_of_many_creators_wins(store: Store) -> Verdict {
    let key = store.key("key");
    let writes = (0..WRITERS).map(|writer| {
        let mut request = SetRequest::new(&key, writer.to_string());
        request.concurrency = Concurrency::FirstWrite;
        store.store.set(request)
    });
    one_wins("first writers", join_all(writes).await)
}

fn first_write(key: &str, value: &'static str) -> SetRequest {
    let mut request = SetRequest::new(key, value);
    request.concurrency = Concurrency::FirstWrite;
    request
}

fn one_wins(who: &str, outcomes: Vec<dapr_pluggable::Result<()>>) -> Verdict {
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    equal(format!("the number of {who} that went through"), won, 1)?;
    for outcome in outcomes {
        if outcome.is_err() {
            refused("a write that lost", outcome, MISMATCH)?;
        }
    }
    Ok(())
}
