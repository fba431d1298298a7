//! Every check as a test of a component's own: for `tests/conformance.rs`, a test without a harness.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::{Blocks, Error, Result, Server, Serving, Stop};
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
        for way in [Way::InProcess, Way::OverSocket] {
            for check in catalogue() {
                if !plan.blocks.contains(&check.block()) {
                    continue;
                }
                let (plan, setup) = (Arc::clone(plan), setup.clone());
                let name = format!("{}::{}::{}", setup.name, way.name(), check.name());
                trials.push(Trial::ignorable_test(name.clone(), move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    let completion =
                        runtime.block_on(trial(&plan, &setup, way, &check, blocks()))?;
                    if let Completion::Ignored {
                        reason: Some(reason),
                    } = &completion
                    {
                        note_skipped(&format!("{} {name}", plan.kind), reason)?;
                    }
                    Ok(completion)
                }));
            }
        }
    }
    trials
}

#[derive(Clone, Copy)]
enum Way {
    InProcess,
    OverSocket,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in_process",
            Self::OverSocket => "over_socket",
        }
    }
}

async fn trial(
    plan: &Arc<Plan>,
    setup: &Setup,
    way: Way,
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
    let outcome = match way {
        Way::InProcess => {
            let subject = Subject::in_process(blocks, plan, setup, properties);
            run_one(&patient(subject)?, check).await
        }
        Way::OverSocket => {
            let server = Server::new(&plan.kind)
                .blocks(blocks)
                .sockets_folder(folder.path());
            let serving = Serving::start([server]).await?;
            let socket = serving.sockets().next().ok_or("nothing is served")?;
            let client = Client::connect(socket).await?;
            let subject = Subject::over_socket(client, plan, setup, properties);
            let outcome = run_one(&patient(subject)?, check).await;
            serving.stop(Stop::Drain).await;
            outcome
        }
    };
    match outcome {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
        Outcome::Failed(what) => Err(what.into()),
    }
}

/// What the machine that this runs on needs of patience.
fn patient(subject: Subject) -> Result<Subject, Failed> {
    let Ok(factor) = std::env::var("PATIENCE") else {
        return Ok(subject);
    };
    let factor: f64 = factor
        .parse()
        .map_err(|_| format!("PATIENCE is {factor:?}: expected a number, such as 2"))?;
    Ok(subject.patience(Duration::from_secs(10).mul_f64(factor)))
}

/// Writes a line into the file that the environment variable `TEST_SKIPPED` names, for who runs the tests of many
/// components and wants to say at the end what did not run.
fn note_skipped(test: &str, reason: &str) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("TEST_SKIPPED") else {
        return Ok(());
    };
    // One write of one line: tests of several processes do not mix theirs.
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("skipped: {test}: {reason}\n").as_bytes())
}
