//! The verb `inspect`: what a runtime finds in a sockets folder, and what is wrong with it.

mod finding;
mod look;
mod report;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use dapr_pluggable::socket::SocketsFolder;
use futures::stream::{self, StreamExt as _};

use self::finding::{Finding, Problem, Report, Severity};
use self::look::Look;
use self::users::User;
use crate::exit;
use crate::output::{self, Output, OutputArgs, Paint};
use crate::progress;
use crate::values::duration;

/// How many sockets are looked at at the same time.
const AT_ONCE: usize = 16;

const EXAMPLES: &str = "\
Examples:
  pluggable inspect                         what daprd finds in its sockets folder
  pluggable inspect --sockets-folder /run/components --user 65532
                                            the same as the user of Dapr's container image
  pluggable inspect --socket ./redis.sock   one socket
  pluggable inspect --output json | jq '.sockets[].types'

Exit codes:
  0    nothing is wrong; warnings may be printed
  1    something is wrong, or could not be looked at
  2    wrong command line";

/// See what a runtime finds in a sockets folder: who answers, as what, and what is wrong
///
/// It asks reflection alone and sends no Init, so it disturbs nobody.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder [default: $DAPR_COMPONENTS_SOCKETS_FOLDER or /tmp/dapr-components-sockets]
    #[arg(long, value_name = "DIR")]
    sockets_folder: Option<PathBuf>,
    /// One socket instead
    #[arg(long, value_name = "FILE", conflicts_with = "sockets_folder")]
    socket: Option<PathBuf>,
    /// The user that daprd runs as, by name or number [default: yourself]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// How long one socket may take to answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let user = match &arguments.user {
        Some(user) => User::find(user)?,
        None => User::own(),
    };
    let look = Look {
        cap: arguments.timeout,
        user,
        is_explicit: arguments.socket.is_some(),
    };
    let report = match &arguments.socket {
        Some(socket) => one(&look, socket).await,
        None => folder(&look, arguments.sockets_folder.as_deref()).await?,
    };
    match arguments.output.output {
        Output::Text => output::print(report::text(&report, Paint::for_stdout()))?,
        Output::Json => output::print_json(&report)?,
    }
    Ok(if report.is_bad() {
        ExitCode::from(exit::FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

async fn one(look: &Look, socket: &Path) -> Report {
    let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
    let finding = progress::shown("waiting for the socket to answer", look.at(socket)).await;
    Report {
        folder: None,
        folder_from: None,
        sockets: finding.into_iter().collect(),
        problems: Vec::new(),
    }
}

async fn folder(look: &Look, explicit: Option<&Path>) -> Result<Report> {
    let folder = SocketsFolder::find(explicit);
    let mut report = Report {
        folder: Some(folder.path().to_owned()),
        folder_from: Some(folder.source().to_string()),
        sockets: Vec::new(),
        problems: Vec::new(),
    };
    if let Some(warning) = folder.warning() {
        let problem = Problem::new(Severity::Warning, "folder-not-daprds", warning);
        report.problems.push(problem);
    }
    if !folder.path().try_exists().unwrap_or(true) {
        let text = "there is no such folder: nothing is served here";
        let problem = Problem::new(Severity::Error, "no-folder", text);
        report.problems.push(problem);
        return Ok(report);
    }
    let files = folder.scan()?;
    let looks = stream::iter(files.iter().map(|file| look.at(file.path().to_owned())));
    let findings = looks.buffered(AT_ONCE).collect::<Vec<_>>();
    let findings = progress::shown("waiting for sockets to answer", findings).await;
    report.sockets = findings.into_iter().flatten().collect();
    mark_doubles(&mut report.sockets);
    Ok(report)
}

/// Files whose names the runtime reads alike.
fn mark_doubles(findings: &mut [Finding]) {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    for finding in findings {
        if finding.services.is_empty() {
            continue;
        }
        match first.get(&finding.name) {
            Some(other) => {
                let text = format!(
                    "daprd reads this name as it reads {}: {:?}; one hides the other",
                    other.display(),
                    finding.name
                );
                finding.error("same-name", text);
            }
            None => {
                first.insert(finding.name.clone(), finding.path.clone());
            }
        }
    }
}
