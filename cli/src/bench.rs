//! The verb `bench`: load on a state store or a message broker behind a socket, in any language, and what it makes of it.

mod deliver;
mod load;
mod plan;
mod report;
mod server;
mod slot;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use dapr_pluggable::program::{Signal, Signals};
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{InstanceId, Metadata};
use tokio::time::{Instant, sleep_until};

use self::deliver::Delivery;
use self::load::{Crew, Window};
use self::plan::{Operation, Plan};
use self::report::Report;
use self::server::{Processes, ServerProcess};
use crate::call::target::{Target, described};
use crate::exit::{self, Failure};
use crate::output::{self, Output, OutputArgs, Paint};
use crate::progress;
use crate::values::{duration, entry};

/// The instance that is opened where none is named: no runtime has one of that name.
const INSTANCE: &str = "pluggable-bench";
/// How much of the duration the load runs before anything counts.
const WARM_UP: f64 = 0.2;
const LONGEST_WARM_UP: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  pluggable bench --socket memory.sock      gets, one connection as a runtime has it, 64 in flight
  pluggable bench --socket memory.sock --in-flight 1
                                            how long one call takes
  pluggable bench --socket sqlite.sock --metadata connectionString=data.db \\
      --operation update --value-size 1024
  pluggable bench --socket redis.sock --connections 4 --output json | jq .operations_per_second
  pluggable bench --socket sqlite.sock --operation bulk-get --bulk 50 --in-flight 1
  pluggable bench --socket memory.sock --operation publish
  pluggable bench --socket memory.sock --operation deliver --messages 2000
                                            how fast messages come when all are acknowledged at once

Exit codes:
  0    measured
  1    failed, or some operations did
  2    wrong command line
  130  called off by Ctrl-C, 143 by SIGTERM; the keys are removed";

/// Measure a store or a broker under load: throughput, latency, the server's CPU time
///
/// It opens an instance of its own, writes the keys, and removes them afterwards. Each call in flight is followed by the
/// next one as soon as it is answered, so a server that stalls is asked less: latencies are those of calls that were made, in
/// operations that ended within the duration. Errors count from the start of the warm-up.
///
/// Of a broker, publish and deliver have a topic of their own, with the instance's name as the consumer group unless
/// --metadata consumerID says otherwise. deliver publishes its messages first, then measures how fast they come, without a
/// warm-up and latencies. What a broker keeps of the topic stays there: no call removes it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The component's socket
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
    /// What is done again and again; update is a get, then a set with the etag that it gave, counted as one
    #[arg(long, value_name = "OPERATION", value_enum, default_value = "get")]
    operation: Operation,
    /// Connections
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Calls in flight on each connection
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// How long to measure, after a warm-up of a fifth of it (2 s at most)
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    duration: Duration,
    /// The size of a value, which is JSON text, in bytes
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = clap::value_parser!(u32).range(1..=(60 << 20)))]
    value_size: u32,
    /// How many keys; for updates at least one for each call in flight, for bulk gets at least those of one
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    keys: u32,
    /// How many keys a bulk get has
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bulk: u32,
    /// How many messages are delivered, unless the duration ends first
    #[arg(long, value_name = "N", default_value = "5000", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    messages: u32,
    /// The instance that is opened; not one that a runtime uses
    #[arg(long, value_name = "NAME", default_value = INSTANCE)]
    instance: String,
    /// Open it with this, an entry of spec.metadata; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    metadata: Vec<(String, String)>,
    /// The process whose CPU time is measured [default: the one that listens on the socket]
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Another process whose CPU time is measured, such as the database that the component stands on
    #[arg(long, value_name = "PID")]
    also_pid: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let plan = arguments.plan()?;
    let processes = arguments.processes().await?;
    let outcome = match plan.operation {
        Operation::Publish => arguments.publish(&plan, processes).await,
        Operation::Deliver => arguments.deliver(&plan, processes).await,
        _ => arguments.call(&plan, processes).await,
    };
    let report = match outcome? {
        Outcome::Measured(report) => report,
        Outcome::CalledOff(signal) => return Ok(signal.exit_code()),
    };
    match arguments.output.output {
        Output::Text => output::print(report.text(&plan, Paint::for_stdout()))?,
        Output::Json => output::print_json(&report)?,
    }
    for (text, count) in report.failures() {
        output::note(&format!("error: {text} ({count} times)"));
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}

/// How the load came to its end.
enum Outcome {
    Measured(Report),
    CalledOff(Signal),
}

impl Arguments {
    fn plan(&self) -> Result<Plan> {
        let slots = self.connections.saturating_mul(self.in_flight);
        if self.duration.is_zero() {
            return Err(Failure::usage("--duration must be longer than nothing").into());
        }
        if self.operation == Operation::Update && self.keys < slots {
            let text = format!(
                "--keys {} is too few: updates need a key for each of the {slots} calls in flight",
                self.keys
            );
            return Err(Failure::usage(text).into());
        }
        if self.operation == Operation::BulkGet && self.keys < self.bulk {
            let text = format!(
                "--keys {} is too few: a bulk get has {} (--bulk)",
                self.keys, self.bulk
            );
            return Err(Failure::usage(text).into());
        }
        if self.operation == Operation::Deliver && self.connections > 1 {
            let text = "--connections must be 1: a subscription has one connection";
            return Err(Failure::usage(text).into());
        }
        Ok(Plan {
            operation: self.operation,
            connections: self.connections,
            in_flight: self.in_flight,
            duration: self.duration,
            key_prefix: format!("{}||{}-", self.instance, std::process::id()),
            key_count: self.keys,
            bulk: self.bulk,
            topic: format!("{}-{}", self.instance, std::process::id()),
            messages: self.messages,
            value: plan::value(self.value_size),
        })
    }

    /// The processes to measure; no server when it is in a pid namespace that this one cannot see.
    async fn processes(&self) -> Result<Processes> {
        let server = match self.server_pid {
            Some(pid) => Some(ServerProcess::of_pid(pid)?),
            None => ServerProcess::behind(&self.socket).await,
        };
        Ok(Processes {
            server: server.filter(|server| server.cpu_time().is_ok()),
            also: self.also_pid.map(ServerProcess::of_pid).transpose()?,
        })
    }

    /// The instance: opened with properties, or as it was opened before.
    fn target(&self, properties: Option<Metadata>) -> Target {
        Target {
            socket: self.socket.clone(),
            instance: InstanceId::new(self.instance.as_str()),
            properties,
            timeout: None,
            output: self.output.output,
        }
    }

    /// Calls of a state store, and its keys before and after them.
    async fn call(&self, plan: &Plan, processes: Processes) -> Result<Outcome> {
        let keys = plan.keys();
        let metadata: Metadata = self.metadata.iter().cloned().collect();
        // As a runtime does, the connection of the calls sends Init: what it opens is at home there.
        let crew = Crew::gather(plan, &keys, || self.target(Some(metadata.clone()))).await?;
        let store = self.target(None).state_store().await?;
        let mut signals = Signals::install()?;
        let outcome = self
            .write_and_measure(&*store, plan, &keys, crew, processes, &mut signals)
            .await;
        let removing = load::remove(&*store, &keys);
        let removed = tokio::select! {
            removed = progress::shown("removing the keys", removing) => removed,
            again = signals.next() => {
                output::note("some keys stay: their removal was cut short");
                return Ok(Outcome::CalledOff(again));
            }
        };
        if let Err(error) = removed {
            output::note(&format!("some keys stay: {error}"));
        }
        outcome
    }

    async fn publish(&self, plan: &Plan, processes: Processes) -> Result<Outcome> {
        let crew = Crew::gather(plan, &[], || self.broker()).await?;
        let mut signals = Signals::install()?;
        self.measure(plan, crew, processes, &mut signals).await
    }

    async fn deliver(&self, plan: &Plan, processes: Processes) -> Result<Outcome> {
        let mut signals = Signals::install()?;
        let mut delivery = Delivery::start(plan.clone(), self.broker(), processes);
        tokio::select! {
            report = progress::shown("measuring", delivery.report()) => report.map(Outcome::Measured),
            signal = signals.next() => {
                delivery.call_off().await;
                Ok(Outcome::CalledOff(signal))
            }
        }
    }

    /// The instance of a broker, with a consumer group as a runtime gives it one.
    fn broker(&self) -> Target {
        let group = ("consumerID".to_owned(), self.instance.clone());
        // The last one of a name counts.
        let entries = std::iter::once(group).chain(self.metadata.iter().cloned());
        self.target(Some(entries.collect()))
    }

    /// Up to the first signal, after which there are keys to remove all the same.
    async fn write_and_measure(
        &self,
        store: &dyn StateStore,
        plan: &Plan,
        keys: &[String],
        crew: Crew,
        processes: Processes,
        signals: &mut Signals,
    ) -> Result<Outcome> {
        let writing = load::write(store, keys, &plan.value);
        tokio::select! {
            signal = signals.next() => return Ok(Outcome::CalledOff(signal)),
            written = progress::shown("writing the keys", writing) => {
                written.map_err(|error| anyhow!(described("write the keys", &error)))?;
            }
        }
        self.measure(plan, crew, processes, signals).await
    }

    async fn measure(
        &self,
        plan: &Plan,
        mut crew: Crew,
        processes: Processes,
        signals: &mut Signals,
    ) -> Result<Outcome> {
        let warm_up = plan.duration.mul_f64(WARM_UP).min(LONGEST_WARM_UP);
        let start = Instant::now() + warm_up;
        let window = Window {
            start: start.into_std(),
            end: (start + plan.duration).into_std(),
        };
        crew.start(window);
        let cpu = async {
            sleep_until(window.start.into()).await;
            let before = processes.cpu_time();
            sleep_until(window.end.into()).await;
            processes.cpu_time_since(before)
        };
        let both = async { tokio::join!(crew.tally(), cpu) };
        let (tally, cpu) = tokio::select! {
            measured = progress::shown("measuring", both) => measured,
            signal = signals.next() => {
                crew.call_off().await;
                return Ok(Outcome::CalledOff(signal));
            }
        };
        let tally = tally.context("put the load on")?;
        if tally.operations() == 0 && tally.errors() == 0 {
            return Err(anyhow!(
                "no operation ended within {:?}: give more --duration",
                plan.duration
            ));
        }
        let report = Report::new(&tally, plan.duration, cpu);
        Ok(Outcome::Measured(report))
    }
}
