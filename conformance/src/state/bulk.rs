//! Several keys in one call.

use bytes::Bytes;
use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{DeleteRequest, Etag, GetRequest, Parallelism, SetRequest};

use super::{ETAG, Store, check, delete_with_etag, with_etag};
use crate::check::{Check, Finding, Verdict};
use crate::expect::{equal, holds, refused};

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("bulk::get", &[], get),
        check("bulk::set", &[], set),
        check("bulk::delete", &[], delete),
        check("bulk::nothing", &[], nothing),
        check("bulk::get_has_etags", &[ETAG], get_has_etags),
        check("bulk::set_with_etags", &[ETAG], set_with_etags),
        check("bulk::delete_with_etags", &[ETAG], delete_with_etags),
    ]
}

/// One answer for each key: its value, or none.
async fn get(store: Store) -> Verdict {
    let a = store.stored("a", "1").await?;
    let missing = store.key("missing");
    let b = store.stored("b", "2").await?;
    let found = bulk_get(&store, &[&b, &missing, &a]).await?;
    let values = found
        .into_iter()
        .map(|(key, entry)| (key, entry.map(|(value, _)| value)));
    let expected = vec![
        (b, Some(Bytes::from("2"))),
        (missing, None),
        (a, Some(Bytes::from("1"))),
    ];
    equal("the answer to a bulk get", values.collect(), expected)
}

async fn set(store: Store) -> Verdict {
    let names: Vec<String> = (0..20)
        .map(|number| store.key(&number.to_string()))
        .collect();
    let requests = names
        .iter()
        .map(|key| SetRequest::new(key, key.clone()))
        .collect();
    store.store.bulk_set(requests, Parallelism::new(4)).await?;
    for key in &names {
        let entry = store.entry(key).await?;
        equal(
            format!("the value of {key:?}"),
            entry.map(|entry| entry.value),
            Some(Bytes::from(key.clone())),
        )?;
    }
    Ok(())
}

async fn delete(store: Store) -> Verdict {
    let gone = store.stored("gone", "value").await?;
    let kept = store.stored("kept", "value").await?;
    let missing = store.key("missing");
    let requests = [&gone, &missing].map(DeleteRequest::new).to_vec();
    store
        .store
        .bulk_delete(requests, Parallelism::default())
        .await?;
    store.holds(&gone, None).await?;
    store.holds(&kept, Some("value")).await
}

async fn nothing(store: Store) -> Verdict {
    let parallelism = Parallelism::default();
    let found = store.store.bulk_get(Vec::new(), parallelism).await?;
    equal("the answer to a bulk get of nothing", found.len(), 0)?;
    store.store.bulk_set(Vec::new(), parallelism).await?;
    Ok(store.store.bulk_delete(Vec::new(), parallelism).await?)
}

async fn get_has_etags(store: Store) -> Verdict {
    let key = store.stored("key", "value").await?;
    let etag = store.etag(&key).await?;
    let found = bulk_get(&store, &[&key]).await?;
    let expected = vec![(key, Some((Bytes::from("value"), Some(etag))))];
    equal("the answer to a bulk get", found, expected)
}

/// The failure of one key is reported and nothing to the others.
async fn set_with_etags(store: Store) -> Verdict {
    let changed = store.stored("changed", "0").await?;
    let fresh = store.stored("fresh", "0").await?;
    let stale = store.etag(&changed).await?;
    store.put(&changed, "1").await?;
    let requests = vec![
        with_etag(SetRequest::new(&changed, "2"), &stale),
        with_etag(SetRequest::new(&fresh, "2"), &store.etag(&fresh).await?),
    ];
    let outcome = store.store.bulk_set(requests, Parallelism::default()).await;
    refused(
        "a bulk set with a stale etag",
        outcome,
        &[ErrorKind::EtagMismatch],
    )?;
    store.holds(&changed, Some("1")).await?;
    store.holds(&fresh, Some("2")).await
}

async fn delete_with_etags(store: Store) -> Verdict {
    let changed = store.stored("changed", "0").await?;
    let fresh = store.stored("fresh", "0").await?;
    let stale = store.etag(&changed).await?;
    store.put(&changed, "1").await?;
    let requests = vec![
        delete_with_etag(&changed, &stale),
        delete_with_etag(&fresh, &store.etag(&fresh).await?),
    ];
    let outcome = store
        .store
        .bulk_delete(requests, Parallelism::default())
        .await;
    match outcome {
        Err(error) => holds(
            format!("an error about etags, not {error}"),
            matches!(
                error.kind(),
                ErrorKind::EtagMismatch | ErrorKind::BulkDeleteMismatch { .. }
            ),
        )?,
        Ok(()) => {
            return Err(Finding::Failed(
                "a bulk delete with a stale etag went through".to_owned(),
            ));
        }
    }
    store.holds(&changed, Some("1")).await?;
    store.holds(&fresh, None).await
}

type Found = (String, Option<(Bytes, Option<Etag>)>);

async fn bulk_get(store: &Store, keys: &[&String]) -> Verdict<Vec<Found>> {
    let requests = keys.iter().map(|key| GetRequest::new(*key)).collect();
    let answers = store
        .store
        .bulk_get(requests, Parallelism::default())
        .await?;
    let mut found = Vec::new();
    for answer in answers {
        let entry = answer.outcome?;
        found.push((answer.key, entry.map(|entry| (entry.value, entry.etag))));
    }
    Ok(found)
}
