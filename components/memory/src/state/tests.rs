use std::collections::BTreeMap;
use std::time::Duration;

use dapr_pluggable::state::{Concurrency, Etag, Filter, Order, Page, Sort};
use dapr_pluggable::{ErrorKind, InstanceId, Opener as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn store() -> MemoryStateStore {
    MemoryStateStore::new(Arc::default())
}

fn set(key: &str, value: &str) -> SetRequest {
    SetRequest::new(key, value.to_owned())
}

fn set_for(key: &str, value: &str, ttl: &str) -> SetRequest {
    let mut request = set(key, value);
    request.metadata = Metadata::from([("ttlInSeconds", ttl)]);
    request
}

async fn get(store: &MemoryStateStore, key: &str) -> Option<Entry> {
    store.get(GetRequest::new(key)).await.unwrap()
}

#[tokio::test]
async fn an_instance_finds_its_data_and_no_others() {
    let (blocks, no_settings) = (crate::blocks(), Metadata::new());
    let open = async |name: &str| {
        let instance = InstanceId::new(name);
        blocks
            .open_state_store(&instance, &no_settings)
            .await
            .unwrap()
    };
    open("orders").await.set(set("k", "v")).await.unwrap();
    let again = open("orders").await.get(GetRequest::new("k")).await;
    assert_eq!(again.unwrap().unwrap().value, "v");
    let other = open("invoices").await.get(GetRequest::new("k")).await;
    assert_eq!(other.unwrap(), None);
    let elsewhere = crate::blocks()
        .open_state_store(&InstanceId::new("orders"), &no_settings)
        .await
        .unwrap();
    assert_eq!(elsewhere.get(GetRequest::new("k")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_gone_and_does_not_pile_up() {
    let store = store();
    for key in 0..100 {
        store
            .set(set_for(&format!("short{key}"), "1", "10"))
            .await
            .unwrap();
    }
    store.set(set_for("long", "1", "11")).await.unwrap();
    store.set(set_for("kept", "1", "10")).await.unwrap();
    store.set(set_for("kept", "2", "-1")).await.unwrap();
    assert!(get(&store, "kept").await.unwrap().metadata.is_empty());
    let expiry = get(&store, "long").await.unwrap();
    let expiry = expiry.metadata.get("ttlExpireTime").unwrap();
    assert!(expiry.ends_with('Z') && expiry.len() == 20, "{expiry}");
    let expiry: jiff::Timestamp = expiry.parse().unwrap();
    let left = expiry.duration_since(jiff::Timestamp::now());
    assert!((0..=11).contains(&left.as_secs()), "{left:?}");

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(get(&store, "short0").await, None);
    assert!(get(&store, "long").await.is_some());
    let mut first = set("short0", "2");
    first.concurrency = Concurrency::FirstWrite;
    store.set(first).await.unwrap();
    for _ in 0..100 {
        store.set(set("kept", "3")).await.unwrap();
    }
    assert_eq!(store.table().len(), 3);
}

#[tokio::test]
async fn an_etag_does_not_come_again() {
    let store = store();
    let mut seen = Vec::new();
    for _ in 0..3 {
        store.set(set("k", "same")).await.unwrap();
        let etag = get(&store, "k").await.unwrap().etag.unwrap();
        assert!(!seen.contains(&etag));
        seen.push(etag);
        store.delete(DeleteRequest::new("k")).await.unwrap();
    }
}

/// What a write asks of the stored value.
#[derive(Clone, Debug)]
enum Wants {
    Anything,
    Nothing,
    Current,
    Another,
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, Option<u8>, Wants),
    Delete(u8, Wants),
    Transact(Vec<Step>),
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wants = || {
        prop_oneof![
            4 => Just(Wants::Anything),
            1 => Just(Wants::Nothing),
            2 => Just(Wants::Current),
            1 => Just(Wants::Another),
        ]
    };
    let write = || {
        prop_oneof![
            (0..4_u8, any::<u8>(), proptest::option::of(1..9_u8), wants())
                .prop_map(|(key, value, ttl, wants)| Step::Set(key, value, ttl, wants)),
            (0..4_u8, wants()).prop_map(|(key, wants)| Step::Delete(key, wants)),
        ]
    };
    let step = prop_oneof![
        6 => write(),
        2 => proptest::collection::vec(write(), 0..5).prop_map(Step::Transact),
        1 => (1..6_u8).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The same in the simplest way: value and end by key. Etags are the store's.
type Model = BTreeMap<String, (String, Option<u64>)>;

fn operation(step: &Step, etags: &BTreeMap<String, Etag>) -> Operation {
    let etag = |key: &str, wants: &Wants| match wants {
        Wants::Anything | Wants::Nothing => None,
        Wants::Current => etags.get(key).cloned(),
        Wants::Another => Some("another".into()),
    };
    match step {
        Step::Set(key, value, ttl, wants) => {
            let mut request = set(&key.to_string(), &value.to_string());
            request.etag = etag(&request.key, wants);
            if matches!(wants, Wants::Nothing) {
                request.concurrency = Concurrency::FirstWrite;
            }
            if let Some(ttl) = ttl {
                request.metadata = Metadata::from([("ttlInSeconds", ttl.to_string())]);
            }
            Operation::Set(request)
        }
        Step::Delete(key, wants) => {
            let mut request = DeleteRequest::new(key.to_string());
            request.etag = etag(&request.key, wants);
            Operation::Delete(request)
        }
        Step::Transact(_) | Step::Wait(_) => unreachable!("no single write"),
    }
}

/// Does a write to the model, or says that it is refused. `written` has the keys whose etag is not the one asked for.
fn apply(
    model: &mut Model,
    operation: &Operation,
    etags: &BTreeMap<String, Etag>,
    written: &mut Vec<String>,
    now: u64,
) -> bool {
    let key = operation.key();
    let current = (model.contains_key(key) && !written.contains(&key.to_owned()))
        .then(|| etags.get(key))
        .flatten();
    let (etag, first) = match operation {
        Operation::Set(request) => (
            &request.etag,
            request.concurrency == Concurrency::FirstWrite,
        ),
        Operation::Delete(request) => (&request.etag, false),
        other => panic!("{other:?}"),
    };
    if etag.as_ref().is_some_and(|etag| Some(etag) != current) || (first && model.contains_key(key))
    {
        return false;
    }
    written.push(key.to_owned());
    match operation {
        Operation::Set(request) => {
            let ttl = request.metadata.get("ttlInSeconds");
            let end = ttl.map(|ttl| now + ttl.parse::<u64>().unwrap());
            let value = String::from_utf8(request.value.to_vec()).unwrap();
            model.insert(key.to_owned(), (value, end));
        }
        _ => {
            model.remove(key);
        }
    }
    true
}

async fn follows_the_model(steps: Vec<Step>) {
    let store = store();
    let (mut model, mut etags, mut now) = (Model::new(), BTreeMap::new(), 0);
    for step in steps {
        let outcome = match &step {
            Step::Wait(seconds) => {
                now += u64::from(*seconds);
                tokio::time::advance(Duration::from_secs((*seconds).into())).await;
                model.retain(|_, (_, end)| end.is_none_or(|end| now < end));
                Ok(())
            }
            Step::Transact(steps) => {
                let operations: Vec<_> = steps.iter().map(|step| operation(step, &etags)).collect();
                let (mut after, mut written) = (model.clone(), Vec::new());
                let allowed = operations
                    .iter()
                    .all(|operation| apply(&mut after, operation, &etags, &mut written, now));
                if allowed {
                    model = after;
                }
                let outcome = store.transact(operations, Metadata::new()).await;
                assert_eq!(outcome.is_ok(), allowed, "{step:?}");
                outcome
            }
            Step::Set(..) | Step::Delete(..) => {
                let operation = operation(&step, &etags);
                let allowed = apply(&mut model, &operation, &etags, &mut Vec::new(), now);
                let outcome = match operation {
                    Operation::Set(request) => store.set(request).await,
                    Operation::Delete(request) => store.delete(request).await,
                    other => panic!("{other:?}"),
                };
                assert_eq!(outcome.is_ok(), allowed, "{step:?}");
                outcome
            }
        };
        if let Err(error) = outcome {
            assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
        }
        for key in ["0", "1", "2", "3"] {
            let entry = get(&store, key).await;
            let value = entry.as_ref().map(|entry| &entry.value[..]);
            let expected = model.get(key).map(|(value, _)| value.as_bytes());
            assert_eq!(value, expected, "after {step:?}");
            // An etag of before stays known, to be wrong with later.
            if let Some(etag) = entry.and_then(|entry| entry.etag) {
                etags.insert(key.to_owned(), etag);
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_map_with_etags_and_ends(steps in steps()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(follows_the_model(steps));
    }
}

async fn query(store: &MemoryStateStore, query: Query) -> Result<QueryPage> {
    QueryableStateStore::query(store, query).await
}

fn keys(page: &QueryPage) -> String {
    let keys: Vec<_> = page.items.iter().map(|item| item.key.as_str()).collect();
    keys.join(" ")
}

fn sorted(path: &str, order: Order, page: Page) -> Query {
    let mut query = Query::default();
    query.sort = vec![Sort::new(path, order)];
    query.page = page;
    query
}

async fn rows() -> MemoryStateStore {
    let store = store();
    for (key, value) in [
        ("a", json!({"v": 1})),
        ("b", json!({"v": 2.5})),
        ("c", json!({"v": "text"})),
        ("d", json!({"v": true})),
        ("e", json!({"v": null})),
        ("f", json!({"v": [1]})),
        ("g", json!({"other": 1})),
        ("h", json!(5)),
        ("i", json!({"v": {"w": -1}})),
        ("j", json!({"v": false})),
    ] {
        store.set(set(key, &value.to_string())).await.unwrap();
    }
    store.set(set("raw", "no JSON")).await.unwrap();
    store
}

#[tokio::test]
async fn only_values_of_one_kind_are_compared() {
    let store = rows().await;
    let with = |make: fn(String, Value) -> Filter, value: Value| make("v".to_owned(), value);
    for (filter, expected) in [
        (with(Filter::Equal, json!(1.0)), "a"),
        (with(Filter::Equal, json!("1")), ""),
        (with(Filter::Equal, json!(true)), "d"),
        (with(Filter::Equal, json!(null)), "e"),
        (with(Filter::NotEqual, json!(1)), "b c d e f i j"),
        (with(Filter::NotEqual, json!(null)), "a b c d f i j"),
        (with(Filter::Greater, json!(1)), "b"),
        (with(Filter::GreaterOrEqual, json!(1)), "a b"),
        (with(Filter::Less, json!("u")), "c"),
        (with(Filter::LessOrEqual, json!(2)), "a"),
        (with(Filter::Less, json!(true)), "j"),
        (with(Filter::GreaterOrEqual, json!(null)), ""),
        (
            Filter::In("v".into(), vec![json!("text"), json!(null)]),
            "c e",
        ),
        (Filter::In("v".into(), vec![]), ""),
        (Filter::And(vec![]), "a b c d e f g h i j"),
        (
            Filter::Or(vec![
                with(Filter::Equal, json!(1)),
                Filter::Equal("v.w".into(), json!(-1)),
            ]),
            "a i",
        ),
    ] {
        let page = query(&store, Query::new(filter.clone())).await.unwrap();
        assert_eq!(keys(&page), expected, "{filter:?}");
    }
    for bad in [json!([1]), json!({"w": 1})] {
        let filter = Filter::And(vec![Filter::Or(vec![]), Filter::Equal("v".into(), bad)]);
        let error = query(&store, Query::new(filter)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn pages_hold_while_rows_come_and_go() {
    let store = rows().await;
    for (order, expected) in [
        (Order::Ascending, "g h e j d a b c f i"),
        (Order::Descending, "i f c b a d j e g h"),
    ] {
        let mut page = Page::first(3);
        let mut seen = Vec::new();
        loop {
            let next = query(&store, sorted("v", order, page)).await.unwrap();
            seen.push(keys(&next));
            match next.token {
                Some(token) => page = Page::after(3, token),
                None => break,
            }
        }
        assert_eq!(seen.join(" "), expected);
        assert_eq!(seen.len(), 4);
    }

    let first = query(&store, sorted("v", Order::Ascending, Page::first(6)))
        .await
        .unwrap();
    store.delete(DeleteRequest::new("a")).await.unwrap();
    store.delete(DeleteRequest::new("g")).await.unwrap();
    store.set(set("0", r#"{"v":0}"#)).await.unwrap();
    let token = first.token.unwrap();
    let next = sorted("v", Order::Ascending, Page::after(2, token.clone()));
    assert_eq!(keys(&query(&store, next).await.unwrap()), "b c");

    let mut unsorted = Query::default();
    unsorted.page = Page::after(1, token);
    for bad in [unsorted, sorted("v", Order::Ascending, Page::after(1, "7"))] {
        let error = query(&store, bad).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
        assert!(error.message().starts_with("invalid page token"), "{error}");
    }
}
