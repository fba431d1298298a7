//! Queries: what is special about doing them in SQL.

use std::sync::Arc;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Filter, Order, Page, Query, QueryPage, SetRequest, Sort, StateStore};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::state::open_file;

async fn query(store: &Arc<dyn StateStore>, query: Query) -> dapr_pluggable::Result<QueryPage> {
    store.queryable().unwrap().query(query).await
}

fn keys(page: &QueryPage) -> Vec<&str> {
    page.items.iter().map(|item| item.key.as_str()).collect()
}

async fn found(store: &Arc<dyn StateStore>, filter: Filter) -> String {
    let page = query(store, Query::new(filter)).await.unwrap();
    keys(&page).join(" ")
}

fn sorted(path: &str, order: Order, page: Page) -> Query {
    let mut query = Query::default();
    query.sort = vec![Sort::new(path, order)];
    query.page = page;
    query
}

/// Rows of every kind, some of them in base64 as Dapr writes what comes from a pluggable component's host.
async fn rows(folder: &Folder) -> Arc<dyn StateStore> {
    let store = open_file(folder).await;
    let values = [
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
    ];
    for (key, value) in values {
        store
            .set(SetRequest::new(key, value.to_string()))
            .await
            .unwrap();
    }
    store.set(SetRequest::new("raw", "no JSON")).await.unwrap();
    folder.sqlite3(
        "INSERT INTO state VALUES ('k64', 'eyJ2IjoyfQ==', 1, 'e', NULL, CURRENT_TIMESTAMP); -- {\"v\":2}
         INSERT INTO state VALUES ('l64', 'ZXZpbA==', 1, 'e', NULL, CURRENT_TIMESTAMP);
         INSERT INTO state VALUES ('m', 'not JSON though it says so', 0, 'e', NULL, CURRENT_TIMESTAMP);
         INSERT INTO state VALUES ('n', '{\"v\":1}', 0, 'e', datetime('now', '-1 second'), CURRENT_TIMESTAMP);",
    );
    store
}

#[tokio::test]
async fn only_values_of_one_kind_are_compared() {
    let folder = Folder::new();
    let store = rows(&folder).await;
    let with = |make: fn(String, Value) -> Filter, value: Value| make("v".to_owned(), value);
    for (filter, expected) in [
        (with(Filter::Equal, json!(1)), "a"),
        (with(Filter::Equal, json!(1.0)), "a"),
        (with(Filter::Equal, json!("1")), ""),
        (with(Filter::Equal, json!(true)), "d"),
        (with(Filter::Equal, json!(false)), "j"),
        (with(Filter::Equal, json!(null)), "e"),
        (with(Filter::NotEqual, json!(1)), "b c d e f i j k64"),
        (with(Filter::NotEqual, json!(null)), "a b c d f i j k64"),
        (with(Filter::Greater, json!(1)), "b k64"),
        (with(Filter::GreaterOrEqual, json!(1)), "a b k64"),
        (with(Filter::Less, json!("u")), "c"),
        (with(Filter::LessOrEqual, json!(2)), "a k64"),
        (with(Filter::Less, json!(true)), "j"),
        (with(Filter::Greater, json!(null)), ""),
        (with(Filter::Less, json!(u64::MAX)), "a b k64"),
        (
            Filter::In("v".into(), vec![json!(2), json!("text"), json!(null)]),
            "c e k64",
        ),
        (Filter::In("v".into(), vec![]), ""),
        (Filter::And(vec![]), "a b c d e f g h i j k64"),
        (Filter::Equal("v.w".into(), json!(-1)), "i"),
        (Filter::Equal("v.0".into(), json!(1)), ""),
    ] {
        assert_eq!(found(&store, filter.clone()).await, expected, "{filter:?}");
    }
    for bad in [json!([1]), json!({"w": 1})] {
        let filter = Filter::Equal("v".into(), bad);
        let error = query(&store, Query::new(filter)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn pages_hold_while_rows_come_and_go() {
    let folder = Folder::new();
    let store = rows(&folder).await;
    for order in [Order::Ascending, Order::Descending] {
        let whole = query(&store, sorted("v", order, Page::default()))
            .await
            .unwrap();
        assert_eq!(whole.token, None);
        let whole = keys(&whole).join(" ");
        if order == Order::Ascending {
            assert_eq!(whole, "g h e d j a k64 b c f i".replace("d j", "j d"));
        }
        let mut page = Page::first(1);
        let mut seen = Vec::new();
        loop {
            let next = query(&store, sorted("v", order, page)).await.unwrap();
            seen.extend(next.items.iter().map(|item| item.key.clone()));
            match next.token {
                Some(token) => page = Page::after(1, token),
                None => break,
            }
        }
        assert_eq!(seen.join(" "), whole);
    }

    // What is before the end of a page may change without moving the next.
    let first = query(&store, sorted("v", Order::Ascending, Page::first(6)))
        .await
        .unwrap();
    assert_eq!(keys(&first), ["g", "h", "e", "j", "d", "a"]);
    folder.sqlite3("DELETE FROM state WHERE key IN ('a', 'g')");
    store.set(SetRequest::new("0", r#"{"v":0}"#)).await.unwrap();
    let next = sorted("v", Order::Ascending, Page::after(2, first.token.unwrap()));
    assert_eq!(keys(&query(&store, next).await.unwrap()), ["k64", "b"]);
}

#[tokio::test]
async fn a_token_is_checked() {
    let folder = Folder::new();
    let store = rows(&folder).await;
    let page = query(&store, sorted("v", Order::Ascending, Page::first(1)))
        .await
        .unwrap();
    let token = page.token.unwrap();
    let mut unsorted = Query::default();
    unsorted.page = Page::after(1, token.clone());
    for query_with in [
        sorted("v", Order::Ascending, Page::after(1, "7")),
        sorted("v", Order::Ascending, Page::after(1, "' OR 1=1")),
        unsorted,
    ] {
        let error = query(&store, query_with).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
        assert!(error.message().starts_with("invalid page token"), "{error}");
    }
}

#[tokio::test]
async fn paths_are_names_whatever_is_in_them() {
    let folder = Folder::new();
    let store = open_file(&folder).await;
    let names = [
        "a b",
        "quote\"",
        "back\\slash",
        "it's",
        "$",
        "[0]",
        "#",
        "*",
        "\u{fc}",
        "'); DROP TABLE state; --",
        "",
        "nl\n",
    ];
    for name in names {
        let value = json!({ name: { "in": 1 } });
        store
            .set(SetRequest::new(name.to_owned() + "!", value.to_string()))
            .await
            .unwrap();
    }
    for name in names {
        let path = format!("{name}.in");
        assert_eq!(
            found(&store, Filter::Equal(path.clone(), json!(1))).await,
            format!("{name}!")
        );
        let page = query(&store, sorted(&path, Order::Descending, Page::first(1)))
            .await
            .unwrap();
        assert_eq!(keys(&page), [format!("{name}!")]);
    }
    let filter = Filter::Equal("a".into(), json!("' OR '1'='1"));
    assert_eq!(found(&store, filter).await, "");
}
