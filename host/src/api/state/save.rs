//! POST of an array of items.

use dapr_pluggable::state::{Parallelism, SetRequest};

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::call::Call;
use super::super::failure::Failure;
use super::super::json::{self, Loose};
use super::super::path::Parameters;
use super::item::Item;
use super::{Store, failures};

/// POST `/v1.0/state/{store}`: one item is a set, several are a bulk set.
pub(in crate::api) async fn save(
    api: &Api,
    store: &str,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let store = Store::find(api, store, true)?;
    let mut requests = read(&store, call).await?;
    let component = store.component.store();
    let saved = match (requests.pop(), requests.is_empty()) {
        (None, _) => Ok(()),
        (Some(only), true) => component.set(only).await,
        (Some(last), false) => {
            requests.push(last);
            component.bulk_set(requests, Parallelism::default()).await
        }
    };
    saved.map_err(|error| failures::save(&store.name, &error))?;
    Ok(answer::nothing())
}

/// The writes of the body.
async fn read(store: &Store, call: &mut Call) -> Result<Vec<SetRequest>, Failure> {
    let body = call.body().await;
    let body = body.map_err(|fault| Failure::malformed(fault.to_string()))?;
    let items = json::first::<Option<Vec<Loose<Item<'_>>>>>(&body)
        .map_err(|error| Failure::malformed(error.to_string()))?;
    requests(store, json::objects(items), &call.parameters)
}

/// The writes of the items. A bad key of any item is found before the missing value of another.
fn requests(
    store: &Store,
    items: Vec<Item<'_>>,
    parameters: &Parameters,
) -> Result<Vec<SetRequest>, Failure> {
    let mut requests = Vec::with_capacity(items.len());
    for item in items {
        if item.key.is_empty() {
            return Err(Failure::malformed("\"key\" is a required field"));
        }
        let key = store.stored_key(&item.key)?;
        requests.push(item.into_set(key, parameters));
    }
    let requests: Option<_> = requests.into_iter().collect();
    requests.ok_or_else(|| failures::save_nothing(&store.name))
}
