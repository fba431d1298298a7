//! Every check as a test of a component's own: for `tests/conformance.rs`, a test without a harness.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::{Blocks, Error, Result, Server, Serving, Stop};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::catalogue;
use crate::check::{Check, Outcome};
use crate::plan::{Plan, Setup};
use crate::runner::run_one;
use crate::subject::Subject;

/// How many checks run at once for each processor, unless `--test-threads` says otherwise: mostly they wait for something
/// to come, or for nothing to come.
const AT_ONCE: usize = 6;

/// Runs every check in every setup of a plan (the text of `component.toml`), each as a test on blocks of its own. The
/// arguments of the process choose tests as usual; the environment variable `PATIENCE` multiplies what the checks wait.
///
/// # Errors
/// [`InvalidRequest`](dapr_pluggable::ErrorKind::InvalidRequest) for a plan that is wrong, and when no check passed at all.
pub fn run(plan: &str, blocks: fn() -> Blocks) -> Result<ExitCode> {
    run_with_servers(plan, blocks, |_| None)
}

/// The same for setups that need servers, which `servers` has: by the name of a need it gives what goes into the setup's
/// metadata in place of names in braces, or None where it has no such server, and what needs it is skipped.
///
/// It is called before each check, from the threads that run them and outside of their asynchronous runtimes, which end
/// with the check. So what it starts must live somewhere else, best until it is dropped: at the end of this, whatever the
/// outcome. Where it panics, the check fails.
///
/// # Errors
/// As [`run`].
pub fn run_with_servers(
    plan: &str,
    blocks: fn() -> Blocks,
    servers: impl Fn(&str) -> Option<BTreeMap<String, String>> + Send + Sync + 'static,
) -> Result<ExitCode> {
    let servers: Arc<Servers> = Arc::new(servers);
    let plan: Arc<Plan> = Arc::new(plan.parse()?);
    let mut arguments = Arguments::from_args();
    if arguments.test_threads.is_none() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        arguments.test_threads = Some(AT_ONCE * processors);
    }
    let is_listing = arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials(&plan, blocks, &servers));
    if conclusion.num_passed == 0 && conclusion.num_filtered_out == 0 && !is_listing {
        return Err(Error::internal(
            "no check passed: nothing is known of this component",
        ));
    }
    Ok(conclusion.exit_code())
}

type Servers = dyn Fn(&str) -> Option<BTreeMap<String, String>> + Send + Sync;

fn trials(plan: &Arc<Plan>, blocks: fn() -> Blocks, servers: &Arc<Servers>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for setup in &plan.setups {
        for way in [Way::InProcess, Way::OverSocket] {
            for check in catalogue() {
                if !plan.blocks.contains(&check.block()) {
                    continue;
                }
                let (plan, setup, servers) = (Arc::clone(plan), setup.clone(), Arc::clone(servers));
                let name = format!("{}::{}::{}", setup.name, way.name(), check.name());
                trials.push(Trial::ignorable_test(name.clone(), move || {
                    let completion = match provided(&setup, servers.as_ref()) {
                        Ok(provided) => run_trial(&plan, &setup, provided, way, &check, blocks)?,
                        Err(missing) => Completion::ignored_with(missing),
                    };
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

/// What the servers that a setup needs put in place of names in braces, or what is missing.
fn provided(setup: &Setup, servers: &Servers) -> Result<BTreeMap<String, String>, String> {
    let mut provided = BTreeMap::new();
    for need in &setup.needs {
        let values = servers(need).ok_or_else(|| format!("nobody runs {need} for it"))?;
        provided.extend(values);
    }
    Ok(provided)
}

fn run_trial(
    plan: &Arc<Plan>,
    setup: &Setup,
    provided: BTreeMap<String, String>,
    way: Way,
    check: &Check,
    blocks: fn() -> Blocks,
) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(trial(plan, setup, provided, way, check, blocks()))
}

async fn trial(
    plan: &Arc<Plan>,
    setup: &Setup,
    mut provided: BTreeMap<String, String>,
    way: Way,
    check: &Check,
    blocks: Blocks,
) -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    provided.insert("folder".to_owned(), folder.path().display().to_string());
    let properties = setup.properties(&provided);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        type = "memory"
        blocks = ["secret_store"]
        rules = "strict"
        [[setups]]
        name = "there"
        needs = ["vault"]
        metadata = { treasure = "{value}" }
        secrets = { treasure = "gold" }
        [[setups]]
        name = "missing"
        needs = ["vault", "safe"]
        [[setups]]
        name = "broken"
        needs = ["broken"]
    "#;

    #[test]
    fn checks_get_what_they_need_and_are_skipped_without_it() {
        let plan: Arc<Plan> = Arc::new(PLAN.parse().unwrap());
        let servers: Arc<Servers> = Arc::new(|need| match need {
            "vault" => Some([("value".to_owned(), "gold".to_owned())].into()),
            "broken" => panic!("it does not start"),
            _ => None,
        });
        let run = |setup: &str| {
            let arguments = Arguments {
                quiet: true,
                filter: Some(format!("{setup}::")),
                ..Arguments::default()
            };
            let trials = trials(&plan, dapr_component_memory::blocks, &servers);
            let conclusion = libtest_mimic::run(&arguments, trials);
            let (passed, failed) = (conclusion.num_passed, conclusion.num_failed);
            (passed, failed, conclusion.num_ignored)
        };
        // Among them that the treasure is gold.
        assert!(matches!(run("there"), (1.., 0, _)));
        assert!(matches!(run("missing"), (0, 0, 1..)));
        assert!(matches!(run("broken"), (0, 1.., 0)));
    }
}
