//! What a state store must do.

mod basics;
mod bulk;
mod etag;
mod query;
mod transaction;
mod ttl;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use dapr_pluggable::Block;
use dapr_pluggable::state::{DeleteRequest, Entry, Etag, GetRequest, SetRequest, StateStore};

use crate::check::{Check, Finding, Need, Verdict};
use crate::expect::equal;
use crate::fixture::Fixture;

pub(crate) fn checks() -> Vec<Check> {
    [
        basics::checks(),
        bulk::checks(),
        etag::checks(),
        ttl::checks(),
        transaction::checks(),
        query::checks(),
    ]
    .concat()
}

/// A check that works on one open store.
fn check<F: Future<Output = Verdict> + Send + 'static>(
    name: &str,
    needs: &'static [Need],
    run: fn(Store) -> F,
) -> Check {
    let name = format!("state::{name}");
    Check::new(Block::StateStore, name, needs, move |fixture| async move {
        run(Store::open(fixture).await?).await
    })
}

const ETAG: Need = Need::Claim("ETAG");
const TTL: Need = Need::Claim("TTL");
const TRANSACTIONAL: Need = Need::Claim("TRANSACTIONAL");
const QUERY_API: Need = Need::Claim("QUERY_API");

/// A store under check, with what the checks do all the time.
struct Store {
    store: Arc<dyn StateStore>,
    fixture: Arc<Fixture>,
}

impl Store {
    async fn open(fixture: Arc<Fixture>) -> Verdict<Self> {
        let (instance, properties) = (fixture.instance(), fixture.properties(&[]));
        let store = fixture.open_state_store(&instance, &properties).await?;
        Ok(Self { store, fixture })
    }

    /// A key that nothing else has.
    fn key(&self, name: &str) -> String {
        self.fixture.key(name)
    }

    /// A key that has a value.
    async fn stored(&self, name: &str, value: &'static str) -> Verdict<String> {
        let key = self.key(name);
        self.put(&key, value).await?;
        Ok(key)
    }

    async fn put(&self, key: &str, value: impl Into<Bytes>) -> Verdict {
        Ok(self.store.set(SetRequest::new(key, value)).await?)
    }

    async fn delete(&self, key: &str) -> Verdict {
        Ok(self.store.delete(DeleteRequest::new(key)).await?)
    }

    async fn entry(&self, key: &str) -> Verdict<Option<Entry>> {
        Ok(self.store.get(GetRequest::new(key)).await?)
    }

    /// The etag of a key that has a value.
    async fn etag(&self, key: &str) -> Verdict<Etag> {
        let entry = self.entry(key).await?;
        let etag = entry.and_then(|entry| entry.etag);
        etag.filter(|etag| !etag.as_str().is_empty())
            .ok_or_else(|| Finding::Failed(format!("expected a value with an etag under {key:?}")))
    }

    /// A key has a value, or has none.
    async fn holds(&self, key: &str, expected: Option<&'static str>) -> Verdict {
        let entry = self.entry(key).await?;
        equal(
            format!("the value of {key:?}"),
            entry.map(|entry| entry.value),
            expected.map(Bytes::from),
        )
    }
}

fn with_etag(mut request: SetRequest, etag: &Etag) -> SetRequest {
    request.etag = Some(etag.clone());
    request
}

fn delete_with_etag(key: &str, etag: &Etag) -> DeleteRequest {
    let mut request = DeleteRequest::new(key);
    request.etag = Some(etag.clone());
    request
}
