//! The verb `call`: one call of a component by hand.

mod binding;
mod features;
mod payload;
mod pubsub;
mod receive;
mod secret;
mod state;
pub(crate) mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use dapr_pluggable::InstanceId;

use self::target::Target;
use crate::output::OutputArgs;
use crate::values::{duration, entry};

const EXAMPLES: &str = "\
Examples:
  pluggable call --socket memory.sock --init state set greeting hello
  pluggable call --socket memory.sock state get greeting
  pluggable call --socket sqlite.sock --metadata connectionString=data.db state set photo @photo.png
  pluggable call --socket redis.sock --instance orders state bulk-get a b c --output json
  pluggable call --socket memory.sock state transact '{\"operations\":[
      {\"operation\":\"upsert\",\"request\":{\"key\":\"a\",\"value\":1}},
      {\"operation\":\"delete\",\"request\":{\"key\":\"b\"}}]}'
  pluggable call --socket memory.sock --init pubsub publish news hello
  pluggable call --socket memory.sock pubsub pull news --count 1 --timeout 5s
  pluggable call --socket memory.sock --init binding invoke create - < event.json
  pluggable call --socket redis.sock --instance orders state features
  pluggable call --socket vault.sock secret get db-password

Exit codes:
  0    done
  1    failed; what a component answers begins with the gRPC code
  2    wrong command line
  3    there is no such thing: no value for the key, no such secret, not enough messages in time
  130  ended by SIGINT
  143  ended by SIGTERM";

/// Call a component by hand: state, pubsub, binding, secret
///
/// Without --init and --metadata it calls an instance that is open already, and disturbs nobody.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The component's socket
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
    /// The instance, as metadata.name of its resource file says
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    instance: String,
    /// Open the instance first, with this metadata among others: an entry of spec.metadata; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    metadata: Vec<(String, String)>,
    /// Open the instance first, with no metadata unless --metadata gives some
    #[arg(long)]
    init: bool,
    /// How long a call may take [default: 30s]; of pull and read, how long the next message may take [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration, global = true)]
    timeout: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    block: Block,
}

#[derive(Debug, Subcommand)]
enum Block {
    /// A state store
    #[command(subcommand)]
    State(state::Call),
    /// A message broker
    #[command(subcommand)]
    Pubsub(pubsub::Call),
    /// An input or output binding
    #[command(subcommand)]
    Binding(binding::Call),
    /// A secret store
    #[command(subcommand)]
    Secret(secret::Call),
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let opens = arguments.init || !arguments.metadata.is_empty();
    let target = Target {
        socket: arguments.socket,
        instance: InstanceId::new(arguments.instance),
        properties: opens.then(|| arguments.metadata.into_iter().collect()),
        timeout: arguments.timeout,
        output: arguments.output.output,
    };
    match arguments.block {
        Block::State(call) => call.run(&target).await,
        Block::Pubsub(call) => call.run(&target).await,
        Block::Binding(call) => call.run(&target).await,
        Block::Secret(call) => call.run(&target).await,
    }
}
