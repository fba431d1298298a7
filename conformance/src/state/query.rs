//! Searches of JSON values.

use bytes::Bytes;
use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{Filter, Order, Page, Query, QueryPage, Sort};
use serde_json::{Value, json};

use super::{QUERY_API, Store, check};
use crate::check::{Check, Finding, Verdict};
use crate::expect::{equal, refused};

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("query::operators", &[QUERY_API], operators),
        check("query::sort", &[QUERY_API], sort),
        check("query::pages", &[QUERY_API], pages),
        check("query::values_and_etags", &[QUERY_API], values_and_etags),
        check("query::bad_token", &[QUERY_API], bad_token),
    ]
}

/// The members of the values that are searched: who, and how many.
const PEOPLE: [(&str, i64); 4] = [("ann", 1), ("bob", 2), ("cid", 3), ("dan", 4)];

async fn operators(store: Store) -> Verdict {
    store.people().await?;
    let (name, number) = (|| "who.name".to_owned(), || "number".to_owned());
    let cases = [
        (Filter::Equal(name(), json!("bob")), vec!["bob"]),
        (Filter::Equal(number(), json!(3)), vec!["cid"]),
        (
            Filter::NotEqual(name(), json!("bob")),
            vec!["ann", "cid", "dan"],
        ),
        (Filter::Greater(number(), json!(2)), vec!["cid", "dan"]),
        (
            Filter::GreaterOrEqual(number(), json!(2)),
            vec!["bob", "cid", "dan"],
        ),
        (Filter::Less(number(), json!(2)), vec!["ann"]),
        (Filter::LessOrEqual(number(), json!(2)), vec!["ann", "bob"]),
        (
            Filter::In(name(), vec![json!("dan"), json!("ann"), json!("eve")]),
            vec!["ann", "dan"],
        ),
        (Filter::Equal(name(), json!("' OR 1=1 --")), vec![]),
        (Filter::Equal("nobody".to_owned(), json!("bob")), vec![]),
        (
            Filter::Or(vec![
                Filter::Equal(name(), json!("ann")),
                Filter::And(vec![
                    Filter::Greater(number(), json!(1)),
                    Filter::Less(number(), json!(3)),
                ]),
            ]),
            vec!["ann", "bob"],
        ),
    ];
    for (filter, expected) in cases {
        let what = format!("the answer to {}", filter.to_json());
        let page = store
            .search(filter, vec![by_number(Order::Ascending)], Page::default())
            .await?;
        equal(
            what,
            names(&page)?,
            expected.iter().map(ToString::to_string).collect(),
        )?;
    }
    Ok(())
}

async fn sort(store: Store) -> Verdict {
    store.people().await?;
    for (order, expected) in [
        (Order::Ascending, ["ann", "bob", "cid", "dan"]),
        (Order::Descending, ["dan", "cid", "bob", "ann"]),
    ] {
        let page = store
            .search(everyone(), vec![by_number(order)], Page::default())
            .await?;
        equal(
            "the sorted answer",
            names(&page)?,
            expected.map(str::to_owned).to_vec(),
        )?;
    }
    Ok(())
}

/// Page after page gives everything, once.
async fn pages(store: Store) -> Verdict {
    store.people().await?;
    let (mut page, mut found) = (Page::first(3), Vec::new());
    for _ in 0..=PEOPLE.len() {
        let answer = store
            .search(everyone(), vec![by_number(Order::Ascending)], page)
            .await?;
        if answer.items.len() > 3 {
            return Err(Finding::Failed(format!(
                "a page of 3 has {} items",
                answer.items.len()
            )));
        }
        found.extend(names(&answer)?);
        match answer.token {
            Some(token) if !token.is_empty() => page = Page::after(3, token),
            _ => break,
        }
    }
    equal(
        "what all pages have",
        found,
        PEOPLE.map(|(name, _)| name.to_owned()).to_vec(),
    )
}

async fn values_and_etags(store: Store) -> Verdict {
    store.people().await?;
    let filter = Filter::Equal("who.name".to_owned(), json!("cid"));
    let page = store.search(filter, Vec::new(), Page::default()).await?;
    for item in page.items {
        let entry = store.entry(&item.key).await?.unwrap_or_default();
        equal("the value of an item", item.value, entry.value)?;
        equal("the etag of an item", item.etag, entry.etag)?;
    }
    Ok(())
}

async fn bad_token(store: Store) -> Verdict {
    store.people().await?;
    let queryable = store.store.queryable().ok_or_else(none)?;
    let mut query = Query::new(everyone());
    query.page = Page::after(2, "no such token");
    let outcome = queryable.query(query).await;
    refused(
        "a query with a bad token",
        outcome,
        &[ErrorKind::InvalidRequest],
    )?;
    Ok(())
}

impl Store {
    /// Stores the people of this check.
    async fn people(&self) -> Verdict {
        for (name, number) in PEOPLE {
            let value = json!({ "run": self.run(), "who": { "name": name }, "number": number });
            self.put(&self.key(name), value.to_string()).await?;
        }
        Ok(())
    }

    /// Searches the people of this check alone: a query is not limited to anybody's keys.
    async fn search(&self, filter: Filter, sort: Vec<Sort>, page: Page) -> Verdict<QueryPage> {
        let queryable = self.store.queryable().ok_or_else(none)?;
        let own = Filter::Equal("run".to_owned(), json!(self.run()));
        let mut query = Query::new(Filter::And(vec![own, filter]));
        query.sort = sort;
        query.page = page;
        Ok(queryable.query(query).await?)
    }

    fn run(&self) -> String {
        self.fixture.name("query")
    }
}

fn everyone() -> Filter {
    Filter::GreaterOrEqual("number".to_owned(), json!(0))
}

fn by_number(order: Order) -> Sort {
    Sort::new("number", order)
}

fn names(page: &QueryPage) -> Verdict<Vec<String>> {
    page.items.iter().map(|item| name(&item.value)).collect()
}

fn name(value: &Bytes) -> Verdict<String> {
    let value: Option<Value> = serde_json::from_slice(value).ok();
    let name = value
        .as_ref()
        .and_then(|value| value.pointer("/who/name"))
        .and_then(Value::as_str);
    name.map(str::to_owned)
        .ok_or_else(|| Finding::Failed(format!("an item of the answer is {value:?}")))
}

fn none() -> Finding {
    Finding::Failed("it claims QUERY_API and has no queries".to_owned())
}
