//! Search by the content of values.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use dapr_pluggable::state::{Filter, Order, Query, QueryItem, Sort};
use serde::Serialize;
use serde::de::MapAccess;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::call::Call;
use super::super::failure::Failure;
use super::super::json::{Loose, Object, read, read_object, read_objects, read_optional};
use super::{Store, failures, json_part};

/// `{filter, sort, page}`
#[derive(Debug, Default)]
struct Request {
    filter: Option<Value>,
    sort: Vec<SortKey>,
    page: Page,
}

#[derive(Debug, Default)]
struct SortKey {
    key: String,
    order: String,
}

#[derive(Debug, Default)]
struct Page {
    limit: i64,
    token: String,
}

impl<'de> Object<'de> for Request {
    const WHAT: &'static str = "an object with filter, sort and page";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "filter" => read_optional(&mut self.filter, map),
            "sort" => read_objects(&mut self.sort, map),
            "page" => read_object(&mut self.page, map),
            _ => Ok(false),
        }
    }
}

impl<'de> Object<'de> for SortKey {
    const WHAT: &'static str = "an object with key and order";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "key" => read(&mut self.key, map),
            "order" => read(&mut self.order, map),
            _ => Ok(false),
        }
    }
}

impl<'de> Object<'de> for Page {
    const WHAT: &'static str = "an object with limit and token";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "limit" => read(&mut self.limit, map),
            "token" => read(&mut self.token, map),
            _ => Ok(false),
        }
    }
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    results: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Default, Serialize)]
struct Item<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// POST `/v1.0-alpha1/state/{store}/query`: the page that was found, or 204 when nothing was. As in Dapr, a query is
/// not limited to the keys of the application; keys lose their prefix on the way out.
pub(in crate::api) async fn query(
    api: &Api,
    store: &str,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, false)?;
    let body = call.body().await;
    let body = body.map_err(|fault| Failure::unreadable_body(&fault))?;
    let mut query = parse(&body).map_err(|reason| failures::bad_query(&store.name, &reason))?;
    query.metadata = call.parameters.metadata();
    let Some(queryable) = store.component.store().queryable() else {
        return Err(failures::no_queries(&store.name));
    };
    let found = queryable.query(query).await;
    let page = found.map_err(|error| failures::query(&store.name, &error))?;
    if page.items.is_empty() {
        return Ok(answer::nothing());
    }
    answer::json(&Found {
        results: page.items.iter().map(|found| item(&store, found)).collect(),
        token: page.token.as_deref().filter(|token| !token.is_empty()),
        metadata: page.metadata.iter().collect(),
    })
}

fn parse(body: &[u8]) -> Result<Query, String> {
    let Loose(request) =
        serde_json::from_slice::<Loose<Request>>(body).map_err(|error| error.to_string())?;
    let filter = request.filter.as_ref().map(Filter::from_json).transpose();
    let mut query = Query::default();
    query.filter = filter
        .map_err(|error| error.message().to_owned())?
        .flatten();
    query.sort = request
        .sort
        .into_iter()
        .map(|SortKey { key, order }| Sort::new(key, direction(&order)))
        .collect();
    query.page.limit = limit(request.page.limit);
    query.page.token = Some(request.page.token).filter(|token| !token.is_empty());
    Ok(query)
}

/// Anything but `DESC` is ascending, as in Dapr.
fn direction(order: &str) -> Order {
    match order {
        "DESC" => Order::Descending,
        _ => Order::Ascending,
    }
}

/// No limit for zero and less.
fn limit(limit: i64) -> Option<NonZeroU32> {
    let limit = u32::try_from(limit.max(0)).unwrap_or(u32::MAX);
    NonZeroU32::new(limit)
}

fn item<'a>(store: &'a Store, found: &'a QueryItem) -> Item<'a> {
    let mut item = Item {
        key: store.component.prefix().strip(&found.key),
        etag: found.etag.as_ref().map(|etag| etag.as_str()),
        error: found.error.as_deref(),
        ..Item::default()
    };
    match json_part(&found.value) {
        Ok(data) => item.data = data,
        Err(reason) => item.error = item.error.or(Some(reason)),
    }
    item
}
