//! Several keys at once.

use std::collections::BTreeMap;

use dapr_pluggable::Metadata;
use dapr_pluggable::state::{BulkEntry, GetRequest, Parallelism};
use serde::Serialize;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::call::Call;
use super::super::failure::Failure;
use super::super::json::{Loose, Object, read, read_metadata};
use super::{Store, failures, json_part, read_body};

/// `{keys, parallelism, metadata}`
#[derive(Debug, Default)]
struct Request {
    keys: Vec<Option<String>>,
    parallelism: i64,
    metadata: Metadata,
}

impl<'de> Object<'de> for Request {
    const WHAT: &'static str = "an object with keys";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "keys" => read(&mut self.keys, map),
            "parallelism" => read(&mut self.parallelism, map),
            "metadata" => read_metadata(&mut self.metadata, map),
            _ => Ok(false),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Item<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// POST `/v1.0/state/{store}/bulk`: an item a key, in the order in which the store answers.
pub(in crate::api) async fn bulk_get(
    api: &Api,
    store: &str,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, true)?;
    let body = call.body().await;
    let Loose(request) = read_body::<Loose<Request>>(&body)?;
    let mut metadata = request.metadata;
    call.parameters.merge_metadata(&mut metadata);
    let mut requests = Vec::with_capacity(request.keys.len());
    for key in request.keys {
        let mut request = GetRequest::new(store.stored_key(&key.unwrap_or_default())?);
        request.metadata = metadata.clone();
        requests.push(request);
    }
    if requests.is_empty() {
        return Ok(answer::json_bytes("[]"));
    }
    let parallelism = Parallelism::new(request.parallelism);
    let got = store.component.store().bulk_get(requests, parallelism);
    let entries = got.await.map_err(|error| failures::bulk_get(&error))?;
    let items: Vec<_> = entries.iter().map(|entry| item(&store, entry)).collect();
    answer::json(&items)
}

fn item<'a>(store: &'a Store, entry: &'a BulkEntry) -> Item<'a> {
    let mut item = Item {
        key: store.component.prefix().strip(&entry.key),
        ..Item::default()
    };
    match &entry.outcome {
        Ok(None) => {}
        Ok(Some(entry)) => {
            item.etag = entry.etag.as_ref().map(|etag| etag.as_str());
            item.metadata = entry.metadata.iter().collect();
            match json_part(&entry.value) {
                Ok(data) => item.data = data,
                Err(reason) => item.error = Some(reason),
            }
        }
        Err(error) => item.error = Some(error.message()),
    }
    item
}
