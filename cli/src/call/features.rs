//! What an open instance says that it can do, in the names that Features has on the wire.

use std::process::ExitCode;

use anyhow::Result;
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::state::StateStore;
use serde_json::json;

use super::target::Target;
use crate::output::{self, Output};

pub(super) fn of_state_store(store: &dyn StateStore) -> Vec<String> {
    let claims = store.claims();
    let own = [
        ("ETAG", claims.etag),
        ("TRANSACTIONAL", store.transactional().is_some()),
        ("TTL", claims.ttl),
    ];
    names(&own, claims.other)
}

pub(super) fn of_broker(broker: &dyn PubSub) -> Vec<String> {
    let claims = broker.claims();
    let own = [
        ("BULK_PUBSUB", broker.bulk_publisher().is_some()),
        ("MESSAGE_TTL", claims.message_ttl),
        ("SUBSCRIBE_WILDCARDS", claims.wildcards),
    ];
    names(&own, claims.other)
}

pub(super) fn of_secret_store(store: &dyn SecretStore) -> Vec<String> {
    let claims = store.claims();
    let own = [("MULTIPLE_KEY_VALUES_PER_SECRET", claims.multiple_keys)];
    names(&own, claims.other)
}

/// Prints names, a line each.
pub(super) fn print(target: &Target, features: &[String]) -> Result<ExitCode> {
    match target.output {
        Output::Json => output::print_json(&json!({ "features": features }))?,
        Output::Text => {
            for feature in features {
                output::print(format!("{feature}\n"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn names(own: &[(&str, bool)], other: Vec<String>) -> Vec<String> {
    let own = own.iter().filter(|(_, has)| *has);
    own.map(|(name, _)| (*name).to_owned())
        .chain(other)
        .collect()
}
