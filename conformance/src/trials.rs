//! Every check as a test of a component's own: for `tests/conformance.rs`, a test without a harness.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::{Blocks, Error, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::catalogue;
use crate::check::{Check, Outcome};
use crate::plan::{Plan, Setup};
use crate::runner::run_one;
use crate::subject::Subject;

/// Runs every check in every setup of a plan (the text of `component.toml`), each as a test on blocks of its own. The
/// arguments of the process choose tests as usual; the environment variable `PATIENCE` multiplies what the checks wait.
///
/// # Errors
/// [`InvalidRequest`](dapr_pluggable::ErrorKind::InvalidRequest) for a plan that is wrong, and when no check passed at all.
pub fn run(plan: &str, blocks: fn() -> Blocks) -> Result<ExitCode> {
    let plan: Arc<Plan> = Arc::new(plan.parse()?);
    let arguments = Arguments::from_args();
    let is_listing = arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials(&plan, blocks));
    if conclusion.num_passed == 0 && conclusion.num_filtered_out == 0 && !is_listing {
        return Err(Error::internal(
            "no check passed: nothing is known of this component",
        ));
    }
    Ok(conclusion.exit_code())
}

fn trials(plan: &Arc<Plan>, blocks: fn() -> Blocks) -> Vec<Trial> {
    let mut trials = Vec::new();
    for setup in &plan.setups {
        for check in catalogue() {
            if !plan.blocks.contains(&check.block()) {
                continue;
            }
            let (plan, setup) = (Arc::clone(plan), setup.clone());
            let name = format!("{}::in_process::{}", setup.name, check.name());
            trials.push(Trial::ignorable_test(name, move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(trial(&plan, &setup, &check, blocks()))
            }));
        }
    }
    trials
}

async fn trial(
    plan: &Arc<Plan>,
    setup: &Setup,
    check: &Check,
    blocks: Blocks,
) -> Result<Completion, Failed> {
    if let Some(server) = setup.needs.first() {
        return Ok(Completion::ignored_with(format!(
            "nobody runs {server} for it"
        )));
    }
    let folder = tempfile::tempdir()?;
    let provided = [("folder".to_owned(), folder.path().display().to_string())];
    let properties = setup.properties(&provided.into());
    let mut subject = Subject::new(blocks, plan, setup.data, properties);
    if let Ok(factor) = std::env::var("PATIENCE") {
        let factor: f64 = factor
            .parse()
            .map_err(|_| format!("PATIENCE is {factor:?}: expected a number, such as 2"))?;
        subject = subject.patience(Duration::from_secs(10).mul_f64(factor));
    }
    match run_one(&subject, check).await {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
        Outcome::Failed(what) => Err(what.into()),
    }
}
