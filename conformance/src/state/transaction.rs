//! Several writes as one.

use dapr_pluggable::Metadata;
use dapr_pluggable::state::{DeleteRequest, Operation, SetRequest};

use super::{ETAG, Store, TRANSACTIONAL, TTL, check, delete_with_etag, with_etag};
use crate::check::{Check, Finding, Verdict};
use crate::expect::holds;

pub(super) fn checks() -> Vec<Check> {
    vec![
        check(
            "transaction::writes_and_deletes",
            &[TRANSACTIONAL],
            writes_and_deletes,
        ),
        check("transaction::order", &[TRANSACTIONAL], order),
        check("transaction::nothing", &[TRANSACTIONAL], nothing),
        check(
            "transaction::delete_missing",
            &[TRANSACTIONAL],
            delete_missing,
        ),
        check(
            "transaction::max_operations",
            &[TRANSACTIONAL],
            max_operations,
        ),
        check(
            "transaction::etag_match",
            &[TRANSACTIONAL, ETAG],
            etag_match,
        ),
        check(
            "transaction::all_or_nothing",
            &[TRANSACTIONAL, ETAG],
            all_or_nothing,
        ),
        check(
            "transaction::bad_ttl_changes_nothing",
            &[TRANSACTIONAL, TTL],
            bad_ttl_changes_nothing,
        ),
    ]
}

async fn writes_and_deletes(store: Store) -> Verdict {
    let (new, gone) = (
        tagged(&store, "new"),
        stored(&store, "gone", "value").await?,
    );
    let changed = stored(&store, "changed", "0").await?;
    transact(
        &store,
        vec![set(&new, "1"), delete(&gone), set(&changed, "1")],
    )
    .await?;
    store.holds(&new, Some("1")).await?;
    store.holds(&gone, None).await?;
    store.holds(&changed, Some("1")).await
}

/// The operations happen in their order.
async fn order(store: Store) -> Verdict {
    let (a, b) = (stored(&store, "a", "0").await?, tagged(&store, "b"));
    let operations = vec![
        delete(&a),
        set(&b, "1"),
        delete(&b),
        set(&a, "1"),
        set(&a, "2"),
    ];
    transact(&store, operations).await?;
    store.holds(&a, Some("2")).await?;
    store.holds(&b, None).await
}

async fn nothing(store: Store) -> Verdict {
    transact(&store, Vec::new()).await
}

async fn delete_missing(store: Store) -> Verdict {
    transact(&store, vec![delete(&tagged(&store, "missing"))]).await
}

async fn max_operations(store: Store) -> Verdict {
    let transactional = store.store.transactional().ok_or_else(none)?;
    let most = transactional.max_operations().await?;
    let count = most.map_or(20, |most| most.get().min(20));
    let keys: Vec<String> = (0..count)
        .map(|number| tagged(&store, &number.to_string()))
        .collect();
    let operations = keys.iter().map(|key| set(key, "1")).collect();
    transact(&store, operations).await?;
    for key in &keys {
        store.holds(key, Some("1")).await?;
    }
    Ok(())
}

async fn etag_match(store: Store) -> Verdict {
    let (changed, gone) = (
        stored(&store, "changed", "0").await?,
        stored(&store, "gone", "0").await?,
    );
    let operations = vec![
        Operation::Set(with_etag(
            SetRequest::new(&changed, "1"),
            &store.etag(&changed).await?,
        )),
        Operation::Delete(delete_with_etag(&gone, &store.etag(&gone).await?)),
    ];
    transact(&store, operations).await?;
    store.holds(&changed, Some("1")).await?;
    store.holds(&gone, None).await
}

/// One condition that does not hold, wherever it stands, and nothing has happened.
async fn all_or_nothing(store: Store) -> Verdict {
    let guarded = stored(&store, "guarded", "0").await?;
    let stale = store.etag(&guarded).await?;
    store.put(&guarded, "1").await?;
    let (new, kept) = (tagged(&store, "new"), stored(&store, "kept", "0").await?);
    let conditions = [
        Operation::Set(with_etag(SetRequest::new(&guarded, "2"), &stale)),
        Operation::Delete(delete_with_etag(&guarded, &stale)),
    ];
    for condition in conditions {
        for place in 0..=3 {
            let mut operations = vec![set(&new, "1"), set(&kept, "1"), delete(&kept)];
            operations.insert(place, condition.clone());
            let outcome = transact(&store, operations).await;
            holds("a transaction with a stale etag to fail", outcome.is_err())?;
            store.holds(&guarded, Some("1")).await?;
            store.holds(&new, None).await?;
            store.holds(&kept, Some("0")).await?;
        }
    }
    Ok(())
}

async fn bad_ttl_changes_nothing(store: Store) -> Verdict {
    let key = tagged(&store, "key");
    let mut bad = SetRequest::new(tagged(&store, "bad"), "value");
    bad.metadata.insert("ttlInSeconds", "foo");
    let outcome = transact(&store, vec![set(&key, "1"), Operation::Set(bad)]).await;
    holds("a transaction with a bad TTL to fail", outcome.is_err())?;
    store.holds(&key, None).await
}

/// A key that nothing else has, with a hash tag that the keys of a check share: a cluster keeps them in one slot, and takes
/// them in one transaction.
fn tagged(store: &Store, name: &str) -> String {
    store.key(&format!("{{tx}}{name}"))
}

/// Such a key that has a value.
async fn stored(store: &Store, name: &str, value: &'static str) -> Verdict<String> {
    let key = tagged(store, name);
    store.put(&key, value).await?;
    Ok(key)
}

fn set(key: &str, value: &'static str) -> Operation {
    Operation::Set(SetRequest::new(key, value))
}

fn delete(key: &str) -> Operation {
    Operation::Delete(DeleteRequest::new(key))
}

async fn transact(store: &Store, operations: Vec<Operation>) -> Verdict {
    let transactional = store.store.transactional().ok_or_else(none)?;
    Ok(transactional.transact(operations, Metadata::new()).await?)
}

fn none() -> Finding {
    Finding::Failed("it claims TRANSACTIONAL and has no transactions".to_owned())
}
