use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::state::{
    DeleteRequest, Entry, GetRequest, Operation, Query, QueryPage, QueryableStateStore, SetRequest,
    StateClaims, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{Component, Error, Metadata, Result, async_trait};

use super::*;
use crate::key_prefix::KeyPrefix;

/// What a store answers when it is asked how large a transaction may be.
#[derive(Clone, Copy, Default)]
enum Limit {
    #[default]
    None,
    Two,
    Fails,
    Hangs,
}

#[derive(Default)]
struct Store {
    claims: StateClaims,
    transactional: bool,
    queryable: bool,
    limit: Limit,
    asked: AtomicUsize,
}

#[async_trait]
impl Component for Store {}

#[async_trait]
impl StateStore for Store {
    fn claims(&self) -> StateClaims {
        self.claims.clone()
    }

    async fn get(&self, _: GetRequest) -> Result<Option<Entry>> {
        Ok(None)
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        self.transactional
            .then_some(self as &dyn TransactionalStateStore)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        self.queryable.then_some(self as &dyn QueryableStateStore)
    }
}

#[async_trait]
impl TransactionalStateStore for Store {
    async fn max_operations(&self) -> Result<Option<NonZeroU32>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.limit {
            Limit::None => Ok(None),
            Limit::Two => Ok(NonZeroU32::new(2)),
            Limit::Fails => Err(Error::internal("no idea")),
            Limit::Hangs => std::future::pending().await,
        }
    }

    async fn transact(&self, _: Vec<Operation>, _: Metadata) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl QueryableStateStore for Store {
    async fn query(&self, _: Query) -> Result<QueryPage> {
        Err(Error::unsupported("query"))
    }
}

#[async_trait]
impl SecretStore for Store {
    async fn get(&self, _: GetSecretRequest) -> Result<Secret> {
        Ok(Secret::default())
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(name, "state.x", "v1")
}

fn state(name: &str, store: Store) -> StateComponent {
    StateComponent::new(identity(name), Arc::new(store), KeyPrefix::none())
}

fn names(components: &Components) -> Vec<&str> {
    let open = components.open().iter();
    open.map(|component| component.identity().name.as_str())
        .collect()
}

#[test]
fn capabilities_come_in_daprs_order() {
    let store = |etag, ttl, transactional, queryable, other: &[&str]| Store {
        claims: {
            let mut claims = StateClaims::none();
            claims.etag = etag;
            claims.ttl = ttl;
            other
                .iter()
                .fold(claims, |claims, name| claims.with_other(*name))
        },
        transactional,
        queryable,
        ..Store::default()
    };
    for (store, expected) in [
        (store(false, false, false, false, &[]), &[][..]),
        (store(true, false, false, false, &[]), &["ETAG"]),
        (
            store(true, true, true, true, &["KEYS_LIKE"]),
            &[
                "ETAG",
                "TRANSACTIONAL",
                "QUERY_API",
                "TTL",
                "KEYS_LIKE",
                "ACTOR",
            ],
        ),
        (store(false, false, true, false, &[]), &["TRANSACTIONAL"]),
    ] {
        assert_eq!(state("st", store).capabilities(), expected);
    }
    // Behind a socket everything can be asked, and the claims say what is there.
    let remote = state("st", store(true, false, false, true, &[])).remote();
    assert_eq!(remote.capabilities(), ["ETAG"]);
    let remote = state("st", store(true, true, false, true, &["QUERY_API"])).remote();
    assert_eq!(remote.capabilities(), ["ETAG", "QUERY_API", "TTL"]);
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_transaction_is_asked_once_whatever_comes_of_it() {
    for (limit, expected) in [
        (Limit::None, None),
        (Limit::Two, Some(2)),
        (Limit::Fails, None),
        (Limit::Hangs, None),
    ] {
        let store = Arc::new(Store {
            transactional: true,
            limit,
            ..Store::default()
        });
        let shared: Arc<dyn StateStore> = Arc::<Store>::clone(&store);
        let component = StateComponent::new(identity("st"), shared, KeyPrefix::none());
        assert_eq!(store.asked.load(Ordering::Relaxed), 0);
        for _ in 0..3 {
            let limit = component.max_operations().await;
            assert_eq!(limit.map(NonZeroU32::get), expected);
        }
        assert_eq!(store.asked.load(Ordering::Relaxed), 1);
    }
    assert_eq!(state("st", Store::default()).max_operations().await, None);
}

#[tokio::test]
async fn what_is_added_is_found_and_takes_the_place_of_its_predecessor() {
    let registry = Registry::new();
    let mut changes = registry.watch();
    let before = registry.components();
    assert!(!before.has_state_stores());
    registry.set_waiting(WaitingComponent {
        identity: identity("a"),
        reason: "waiting".to_owned(),
    });
    assert_eq!(registry.components().waiting().count(), 1);
    for name in ["a", "b"] {
        let component = OpenComponent::StateStore(Arc::new(state(name, Store::default())));
        assert!(registry.add(component).is_none());
    }
    changes.changed().await.unwrap();
    let secrets = SecretComponent::new(identity("c"), Arc::new(Store::default()));
    registry.add(OpenComponent::SecretStore(Arc::new(secrets)));
    let components = registry.components();
    assert_eq!(components.waiting().count(), 0);
    assert_eq!(names(&components), ["a", "b", "c"]);
    assert!(components.state_store("a").is_some());
    assert!(components.state_store("c").is_none());
    assert!(components.secret_store("c").is_some());

    // One of another kind under the same name.
    let secrets = SecretComponent::new(identity("a"), Arc::new(Store::default()));
    let old = registry.add(OpenComponent::SecretStore(Arc::new(secrets)));
    assert!(matches!(old, Some(OpenComponent::StateStore(_))));
    let now = registry.components();
    assert_eq!(names(&now), ["a", "b", "c"]);
    assert!(now.state_store("a").is_none() && now.secret_store("a").is_some());

    // A snapshot stays as it was.
    assert!(components.state_store("a").is_some());
    assert!(names(&before).is_empty());
    assert_eq!(names(&registry.take_all()), ["a", "b", "c"]);
    assert!(names(&registry.components()).is_empty());
}
