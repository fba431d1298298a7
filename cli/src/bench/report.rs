//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::plan::{Operation, Plan};
use super::server::CpuTime;
use super::tally::Tally;
use crate::output::Paint;

/// The figures of one measurement.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    operations_per_second: f64,
    /// `None` for what comes by itself.
    latency_us: Option<Latency>,
    /// `None` where the server's process cannot be seen from here.
    server_cpu_us_per_operation: Option<f64>,
    /// Of the process that `--also-pid` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    also_cpu_us_per_operation: Option<f64>,
    errors: u64,
    #[serde(skip)]
    failures: BTreeMap<String, u64>,
}

/// In microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Report {
    /// Of calls, each with its latency.
    pub(super) fn new(tally: &Tally, duration: Duration, cpu: CpuTime) -> Self {
        let micros = |share| rounded(tally.latency(share).as_secs_f64() * 1e6, 1);
        Self {
            latency_us: Some(Latency {
                p50: micros(0.5),
                p90: micros(0.9),
                p99: micros(0.99),
                p999: micros(0.999),
                max: micros(1.0),
            }),
            errors: tally.errors(),
            failures: tally.failures().clone(),
            ..Self::of_count(tally.operations(), duration, cpu)
        }
    }

    /// Of so many operations that came by themselves, none of which failed.
    pub(super) fn of_count(count: u64, duration: Duration, cpu: CpuTime) -> Self {
        let operations = count as f64;
        let each = |cpu: Option<Duration>| {
            cpu.filter(|_| count > 0)
                .map(|cpu| rounded(cpu.as_secs_f64() * 1e6 / operations, 2))
        };
        Self {
            operations_per_second: rounded(operations / duration.as_secs_f64(), 1),
            latency_us: None,
            server_cpu_us_per_operation: each(cpu.server),
            also_cpu_us_per_operation: each(cpu.also),
            errors: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Whether every operation succeeded.
    pub(super) fn is_clean(&self) -> bool {
        self.errors == 0
    }

    /// Some of the failures, and how often each came.
    pub(super) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    pub(super) fn text(&self, plan: &Plan, paint: Paint) -> String {
        let cpu = self.server_cpu_us_per_operation;
        let cpu = cpu.map_or_else(
            || "unknown: name the server's process with --server-pid".to_owned(),
            |cpu| format!("{cpu:.2} us"),
        );
        let errors = match self.errors {
            0 => "0".to_owned(),
            errors => paint.red(&errors.to_string()),
        };
        let mut text = paint.bold(&headline(plan));
        text.push('\n');
        let rate = format!("{:.0}", self.operations_per_second);
        let mut figures = vec![("operations per second", rate)];
        if let Some(latency) = &self.latency_us {
            figures.extend([
                ("latency p50", duration(latency.p50)),
                ("latency p90", duration(latency.p90)),
                ("latency p99", duration(latency.p99)),
                ("latency p99.9", duration(latency.p999)),
                ("latency max", duration(latency.max)),
            ]);
        }
        figures.push(("server CPU per operation", cpu));
        if let Some(also) = self.also_cpu_us_per_operation {
            figures.push(("its database's CPU", format!("{also:.2} us")));
        }
        figures.push(("errors", errors));
        for (name, figure) in figures {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<26}{figure}");
        }
        text
    }
}

fn headline(plan: &Plan) -> String {
    let connections = match plan.connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    let (keys, size) = (plan.key_count, plan.value.len());
    let load = match plan.operation {
        Operation::BulkGet => format!("{} of {keys} keys, values of {size} bytes", plan.bulk),
        Operation::Publish => format!("messages of {size} bytes"),
        Operation::Deliver => format!("{} messages of {size} bytes", plan.messages),
        _ => format!("{keys} keys, values of {size} bytes"),
    };
    format!(
        "{}: {connections} x {} in flight, {load}, {:?}",
        plan.operation.name(),
        plan.in_flight,
        plan.duration
    )
}

fn duration(micros: f64) -> String {
    if micros < 1e3 {
        format!("{micros:.1} us")
    } else if micros < 1e6 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

fn rounded(figure: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (figure * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_fitting_unit() {
        assert_eq!(duration(12.34), "12.3 us");
        assert_eq!(duration(12_340.0), "12.34 ms");
        assert_eq!(duration(2_500_000.0), "2.50 s");
    }
}
