//! The state API.

mod bulk;
mod failures;
mod item;
mod query;
mod save;
mod single;
mod transaction;

use std::sync::Arc;

use bytes::Bytes;
use dapr_pluggable::state::{Concurrency, Consistency};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use self::bulk::bulk_get;
pub(super) use self::query::query;
pub(super) use self::save::save;
pub(super) use self::single::{delete, get};
pub(super) use self::transaction::transact;
use super::call::BodyFault;
use super::failure::Failure;
use super::{Api, json, path};
use crate::registry::{Identity, StateComponent};
use crate::target::{Category, Target};

/// Why a stored value cannot stand in a JSON answer.
const NOT_JSON: &str = "value is not JSON: get the key alone to read its bytes";

/// The store that a request names.
#[derive(Debug)]
struct Store {
    name: String,
    component: Arc<StateComponent>,
}

impl Store {
    /// The store of an escaped name. Dapr names the application in the error; in a query it does not.
    fn find(api: &Api, escaped: &str, names_app: bool) -> Result<Self, Failure> {
        let name = path::unescape_lossy(escaped);
        let components = api.registry.components();
        if let Some(component) = components.state_store(&name) {
            let component = Arc::clone(component);
            return Ok(Self { name, component });
        }
        let app_id = names_app.then_some(api.app_id.as_str());
        let waiting = components
            .waiting()
            .find(|waiting| waiting.identity.name == name && may_be_store(&waiting.identity));
        Err(match waiting {
            Some(waiting) => failures::waiting(&name, &waiting.reason, app_id),
            None if components.has_state_stores() => failures::not_found(&name, app_id),
            None => failures::not_configured(&name, app_id),
        })
    }

    /// The key as the store has it.
    fn stored_key(&self, key: &str) -> Result<String, Failure> {
        let stored = self.component.prefix().add(key);
        stored.map_err(|error| failures::illegal_key(&self.name, Some(key), error.message()))
    }

    /// The key of an escaped segment, and as the store has it.
    fn key(&self, escaped: &str) -> Result<(String, String), Failure> {
        let key = path::unescape(escaped)
            .ok_or_else(|| Failure::malformed("key in the path is not UTF-8"))?;
        let stored = self.stored_key(&key)?;
        Ok((key, stored))
    }
}

/// Whether a component that is not open could be a state store: it is nothing else for certain.
fn may_be_store(identity: &Identity) -> bool {
    match Target::of(identity) {
        Ok(Target::Component { category, .. }) => category == Category::State,
        Ok(Target::NotHere) => false,
        Err(_) => true,
    }
}

/// The value of `concurrency`; any other text is as good as none.
fn concurrency(text: &str) -> Concurrency {
    match text {
        "first-write" => Concurrency::FirstWrite,
        "last-write" => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    }
}

/// The value of `consistency`; any other text is as good as none.
fn consistency(text: &str) -> Consistency {
    match text {
        "eventual" => Consistency::Eventual,
        "strong" => Consistency::Strong,
        _ => Consistency::Unspecified,
    }
}

/// Reads a body whose errors Dapr introduces with the same words.
fn read_body<'de, T: Deserialize<'de>>(body: &'de Result<Bytes, BodyFault>) -> Result<T, Failure> {
    let malformed =
        |reason: String| Failure::malformed(format!("failed deserializing HTTP body: {reason}"));
    let body = body
        .as_ref()
        .map_err(|fault| malformed(fault.to_string()))?;
    json::first(body).map_err(|error| malformed(error.to_string()))
}

/// A stored value as a part of a JSON answer: nothing for an empty one, an error for one that is not JSON.
fn json_part(value: &[u8]) -> Result<Option<&RawValue>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(value)
        .map(Some)
        .map_err(|_| NOT_JSON)
}
