//! Behind a socket, too, what is advertised must be what the plan claims: queries above all, which a client always offers.

use std::collections::BTreeMap;
use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Blocks, Component, Error, Result, Server, Serving, Stop, async_trait};
use dapr_pluggable_conformance::{Outcome, Plan, Subject, run_one};

use super::cases::find;

pub(crate) async fn queries_are_claimed_as_they_are_there() {
    let memory = dapr_component_memory::blocks;
    let plain = || Blocks::new().state_store_from(|| Plain);
    for (blocks, claims, passes) in [
        (
            memory(),
            r#""ETAG", "QUERY_API", "TRANSACTIONAL", "TTL""#,
            true,
        ),
        (memory(), r#""ETAG", "TRANSACTIONAL", "TTL""#, false),
        (plain(), "", true),
        (plain(), r#""QUERY_API""#, false),
    ] {
        let outcome = claims_over_a_socket(blocks, claims).await;
        let as_expected = match outcome {
            Outcome::Passed => passes,
            Outcome::Failed(_) => !passes,
            _ => false,
        };
        assert!(as_expected, "[{claims}]: {outcome:?}");
    }
}

async fn claims_over_a_socket(blocks: Blocks, claims: &str) -> Outcome {
    let plan = format!(
        "type = \"broken\"\nblocks = [\"state_store\"]\nrules = \"lenient\"\n\
         [claims]\nstate_store = [{claims}]\n[[setups]]\nname = \"broken\"\n"
    );
    let plan: Arc<Plan> = Arc::new(plan.parse().unwrap());
    let setup = &plan.setups[0];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new("broken")
        .blocks(blocks)
        .sockets_folder(folder.path());
    let serving = Serving::start([server]).await.unwrap();
    let socket = serving.sockets().next().unwrap().to_owned();
    let client = Client::connect(socket).await.unwrap();
    let properties = setup.properties(&BTreeMap::new());
    let subject = Subject::over_socket(client, &plan, setup, properties);
    let outcome = run_one(&subject, &find("lifecycle::state_store::claims")).await;
    serving.stop(Stop::Drain).await;
    outcome
}

/// A state store that can do nothing more.
struct Plain;

impl Component for Plain {}

#[async_trait]
impl StateStore for Plain {
    async fn get(&self, _: GetRequest) -> Result<Option<Entry>> {
        Ok(None)
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Err(Error::unsupported("set"))
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Err(Error::unsupported("delete"))
    }
}
