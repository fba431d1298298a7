//! GET and DELETE of one key.

use dapr_pluggable::state::{DeleteRequest, Etag, GetRequest};
use http::header::IF_MATCH;

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::call::Call;
use super::super::failure::Failure;
use super::{Store, concurrency, consistency, failures};

/// GET `/v1.0/state/{store}/{key}`: the stored bytes, or 204 when there are none.
pub(in crate::api) async fn get(
    api: &Api,
    store: &str,
    key: &str,
    call: &Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, true)?;
    let (key, stored_key) = store.key(key)?;
    let mut request = GetRequest::new(stored_key);
    request.metadata = call.parameters.metadata();
    request.consistency = consistency(call.parameters.first("consistency").unwrap_or_default());
    let got = store.component.store().get(request).await;
    let entry = got.map_err(|error| failures::get(&store.name, &key, &error))?;
    let Some(entry) = entry.filter(|entry| !entry.value.is_empty()) else {
        return Ok(answer::nothing());
    };
    let mut answer = answer::json_bytes(entry.value);
    if let Some(etag) = &entry.etag {
        answer::set_etag(&mut answer, etag.as_str());
    }
    for (name, value) in entry.metadata.iter() {
        answer::set_metadata(&mut answer, name, value);
    }
    Ok(answer)
}

/// DELETE `/v1.0/state/{store}/{key}`, with an etag in `If-Match`; an empty one is an etag too.
pub(in crate::api) async fn delete(
    api: &Api,
    store: &str,
    key: &str,
    call: &Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, true)?;
    let (key, stored_key) = store.key(key)?;
    let parameters = &call.parameters;
    let mut request = DeleteRequest::new(stored_key);
    request.metadata = parameters.metadata();
    request.etag = call
        .headers
        .get(IF_MATCH)
        .map(|etag| Etag::new(String::from_utf8_lossy(etag.as_bytes())));
    request.concurrency = concurrency(parameters.first("concurrency").unwrap_or_default());
    request.consistency = consistency(parameters.first("consistency").unwrap_or_default());
    let deleted = store.component.store().delete(request).await;
    deleted.map_err(|error| failures::delete(&key, &error))?;
    Ok(answer::nothing())
}
