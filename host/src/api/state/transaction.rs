//! Writes and deletes that happen together or not at all.

use dapr_pluggable::Metadata;
use dapr_pluggable::state::Operation;
use serde::de::MapAccess;

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::call::Call;
use super::super::failure::Failure;
use super::super::json::{Loose, Object, read, read_metadata, read_object, read_objects};
use super::super::path::Parameters;
use super::item::Item;
use super::{Store, failures, read_body};

/// `{operations, metadata}`
#[derive(Debug, Default)]
struct Request<'de> {
    operations: Vec<Step<'de>>,
    metadata: Metadata,
}

/// `{operation, request}`
#[derive(Debug, Default)]
struct Step<'de> {
    operation: String,
    request: Item<'de>,
}

impl<'de> Object<'de> for Request<'de> {
    const WHAT: &'static str = "an object with operations";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "operations" => read_objects(&mut self.operations, map),
            "metadata" => read_metadata(&mut self.metadata, map),
            _ => Ok(false),
        }
    }
}

impl<'de> Object<'de> for Step<'de> {
    const WHAT: &'static str = "an object with operation and request";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "operation" => read(&mut self.operation, map),
            "request" => read_object(&mut self.request, map),
            _ => Ok(false),
        }
    }
}

/// POST `/v1.0/state/{store}/transaction`
pub(in crate::api) async fn transact(
    api: &Api,
    store: &str,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, true)?;
    let Some(transactional) = store.component.store().transactional() else {
        return Err(failures::no_transactions(&store.name));
    };
    let body = call.body().await;
    let Loose(request) = read_body::<Loose<Request<'_>>>(&body)?;
    let count = request.operations.len();
    if count == 0 {
        return Ok(answer::nothing());
    }
    if let Some(limit) = store.component.max_operations().await
        && u32::try_from(count).map_or(true, |count| count > limit.get())
    {
        let limit = limit.get();
        return Err(failures::too_many_operations(&store.name, count, limit));
    }
    let operations = operations(&store, request.operations, &call.parameters)?;
    let mut metadata = request.metadata;
    call.parameters.merge_metadata(&mut metadata);
    let done = transactional.transact(operations, metadata).await;
    done.map_err(|error| failures::transaction(&error))?;
    Ok(answer::nothing())
}

/// The operations of the steps, each with the metadata of the query string over its own. A bad step is found before the
/// missing value of another.
fn operations(
    store: &Store,
    steps: Vec<Step<'_>>,
    parameters: &Parameters,
) -> Result<Vec<Operation>, Failure> {
    let mut operations = Vec::with_capacity(steps.len());
    for Step { operation, request } in steps {
        let stored_key = || {
            let stored = store.component.prefix().add(&request.key);
            stored.map_err(|error| failures::illegal_key(&store.name, None, error.message()))
        };
        operations.push(match operation.as_str() {
            "upsert" => {
                let key = stored_key()?;
                request.into_set(key, parameters).map(Operation::Set)
            }
            "delete" => {
                let key = stored_key()?;
                Some(Operation::Delete(request.into_delete(key, parameters)))
            }
            other => return Err(failures::unknown_operation(other)),
        });
    }
    let operations: Option<_> = operations.into_iter().collect();
    operations.ok_or_else(failures::transact_nothing)
}
