//! `/v1.0/metadata`: what this host is and has, and what tools noted there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Api;
use super::answer::{self, Answer};
use super::call::Call;
use super::failure::Failure;
use super::path;

/// The version that this host shows as that of its runtime.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The entry that shows the version; nobody else's value for it shows.
const VERSION_KEY: &str = "daprRuntimeVersion";
/// How many entries tools may note; a new one beyond is refused.
const MAX_EXTENDED: usize = 1024;

/// What tools noted, by name.
#[derive(Debug, Default)]
pub(super) struct Extended(Mutex<BTreeMap<String, String>>);

impl Extended {
    /// Notes a value; `false` when there are too many.
    fn insert(&self, key: String, value: String) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_EXTENDED && !entries.contains_key(&key) {
            return false;
        }
        entries.insert(key, value);
        true
    }

    fn snapshot(&self) -> BTreeMap<String, String> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clone()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    id: String,
    runtime_version: &'static str,
    components: Vec<Component>,
    /// Dapr has no such thing: there, a component is open or the runtime has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting_components: Vec<Waiting>,
    extended: BTreeMap<String, String>,
    actor_runtime: ActorRuntime,
}

#[derive(Serialize)]
struct Component {
    name: String,
    #[serde(rename = "type")]
    component_type: String,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
}

/// A component that is not open yet, or has gone away, and what it waits for.
#[derive(Serialize)]
struct Waiting {
    name: String,
    #[serde(rename = "type")]
    component_type: String,
    version: String,
    reason: String,
}

/// There are no actors here, which is what SDKs read from it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActorRuntime {
    runtime_status: &'static str,
    host_ready: bool,
}

/// GET `/v1.0/metadata`
pub(super) fn get(api: &Api) -> Result<Answer, Failure> {
    let mut extended = api.extended.snapshot();
    extended.insert(VERSION_KEY.to_owned(), VERSION.to_owned());
    let components = api.registry.components();
    answer::json(&Metadata {
        id: api.app_id.clone(),
        runtime_version: VERSION,
        components: components
            .infos()
            .into_iter()
            .map(|info| Component {
                name: info.identity.name,
                component_type: info.identity.component_type,
                version: info.identity.version,
                capabilities: info.capabilities,
            })
            .collect(),
        waiting_components: components
            .waiting()
            .map(|waiting| Waiting {
                name: waiting.identity.name.clone(),
                component_type: waiting.identity.component_type.clone(),
                version: waiting.identity.version.clone(),
                reason: waiting.reason.clone(),
            })
            .collect(),
        extended,
        actor_runtime: ActorRuntime {
            runtime_status: "DISABLED",
            host_ready: false,
        },
    })
}

/// PUT `/v1.0/metadata/{key}`, the value as text.
pub(super) async fn put(api: &Api, key: &str, call: &mut Call) -> Result<Answer, Failure> {
    let body = call.body().await;
    let body = body.map_err(|fault| Failure::unreadable_body(&fault))?;
    let value = String::from_utf8_lossy(&body).into_owned();
    if !api.extended.insert(path::unescape_lossy(key), value) {
        let message = format!("metadata has its {MAX_EXTENDED} entries already");
        return Err(Failure::malformed(message));
    }
    Ok(answer::nothing())
}
