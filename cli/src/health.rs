//! The verb `health`: whether a component serves, for probes and scripts.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dapr_pluggable::program::HealthArgs;

use crate::progress;

const EXAMPLES: &str = "\
Examples:
  pluggable health memory                   ask /tmp/dapr-components-sockets/memory.sock
  pluggable health --wait 30s memory        wait up to 30 s until it serves
  pluggable health --socket /run/components/redis.sock \\
      --service dapr.proto.components.v1.StateStore

Exit codes:
  0    it serves
  1    it does not
  2    wrong command line";

/// Ask a component whether it serves
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    health: HealthArgs,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let asking = arguments.health.run(&[]);
    progress::shown("waiting until it serves", asking).await?;
    Ok(ExitCode::SUCCESS)
}
