//! What is checked, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::{Block, Metadata, Opener};
use uuid::Uuid;

use crate::check::{Check, Need};
use crate::plan::{Data, Plan, Setup};

/// How long a check waits for one thing that must come, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A component under check: how to open it, and what its plan says.
#[derive(Clone, Debug)]
pub struct Subject {
    opener: Arc<dyn Opener>,
    client: Option<Client>,
    plan: Arc<Plan>,
    setup: Setup,
    properties: Metadata,
    patience: Duration,
    run: String,
}

impl Subject {
    /// A component in this process, opened with the metadata of a setup of its plan. Everything that checks make of it is
    /// named after a run of its own.
    pub fn in_process(
        opener: impl Opener,
        plan: &Arc<Plan>,
        setup: &Setup,
        properties: Metadata,
    ) -> Self {
        Self::new(Arc::new(opener), None, plan, setup, properties)
    }

    /// The same behind a socket.
    pub fn over_socket(
        client: Client,
        plan: &Arc<Plan>,
        setup: &Setup,
        properties: Metadata,
    ) -> Self {
        let opener = Arc::new(client.clone());
        Self::new(opener, Some(client), plan, setup, properties)
    }

    fn new(
        opener: Arc<dyn Opener>,
        client: Option<Client>,
        plan: &Arc<Plan>,
        setup: &Setup,
        properties: Metadata,
    ) -> Self {
        Self {
            opener,
            client,
            plan: Arc::clone(plan),
            setup: setup.clone(),
            properties,
            patience: PATIENCE,
            run: Uuid::new_v4().simple().to_string(),
        }
    }

    /// How long a check waits for one thing that must come. Without it, 10 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is missing for a check, if anything is.
    pub(crate) fn lacks(&self, check: &Check) -> Option<String> {
        if !self.plan.blocks.contains(&check.block()) {
            return Some(format!("it has no {}", check.block()));
        }
        check
            .needs()
            .iter()
            .find_map(|need| self.lacks_need(check.block(), *need))
    }

    pub(crate) fn opener(&self) -> &dyn Opener {
        self.opener.as_ref()
    }

    /// The way to what no Init opened, where there is a socket.
    pub(crate) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(crate) fn properties(&self) -> &Metadata {
        &self.properties
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// How long to wait for one thing that must come.
    pub(crate) fn wait(&self) -> Duration {
        self.patience
    }

    /// What is in the name of everything of this run.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    fn lacks_need(&self, block: Block, need: Need) -> Option<String> {
        let (is_met, otherwise) = match need {
            Need::Claim(feature) => (
                self.plan.claims(block, feature),
                format!("it does not claim {feature}"),
            ),
            Need::BadSettings => (
                self.plan.bad_settings.iter().any(|bad| bad.block == block),
                format!("its plan names no bad settings of its {block}"),
            ),
            Need::Echo => (
                self.setup.echo.is_some(),
                "nothing that goes out of it comes in by it again".to_owned(),
            ),
            Need::Secrets => (
                !self.setup.secrets.is_empty(),
                "its setup names no secrets".to_owned(),
            ),
            Need::TwoValues => (
                self.setup.data == Data::Shared || self.client.is_none(),
                "data belongs to an instance, and a runtime has one value of an instance"
                    .to_owned(),
            ),
            Need::Socket => (
                self.client.is_some(),
                "in process nothing can be called that is not open".to_owned(),
            ),
        };
        (!is_met).then_some(otherwise)
    }
}
