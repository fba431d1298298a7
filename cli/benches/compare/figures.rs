//! Medians, spread and ratios.

use std::fmt::{self, Write as _};

use serde::Deserialize;

/// What one slice gave, as `pluggable bench` prints it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sample {
    operations_per_second: f64,
    /// Not of messages that come by themselves.
    latency_us: Option<Latency>,
    server_cpu_us_per_operation: f64,
    /// Of Redis, where that is asked for.
    also_cpu_us_per_operation: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Sample {
    /// Of latencies at 50 % and 99 %, all times in microseconds.
    pub(crate) fn new(rate: f64, [p50, p99]: [f64; 2], cpu: f64, redis: f64) -> Self {
        Self {
            operations_per_second: rate,
            latency_us: Some(Latency { p50, p99 }),
            server_cpu_us_per_operation: cpu,
            also_cpu_us_per_operation: Some(redis),
        }
    }
}

/// The slices of one server under one load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    samples: Vec<Sample>,
}

impl Figures {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// The median of operations per second.
    pub(crate) fn rate(&self) -> f64 {
        self.spread(|sample| sample.operations_per_second).median
    }

    fn spread(&self, of: impl Fn(&Sample) -> f64) -> Spread {
        spread(self.samples.iter().map(of).collect())
    }
}

/// A median, and the quarters around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median < 100.0 { 1 } else { 0 };
        let Self { low, median, high } = self;
        write!(f, "{median:.digits$} [{low:.digits$}-{high:.digits$}]")
    }
}

pub(crate) fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = share * figures.len().saturating_sub(1) as f64;
        let pick = |index: f64| figures.get(index as usize).copied().unwrap_or(f64::NAN);
        let (below, above) = (pick(index.floor()), pick(index.ceil()));
        below + (above - below) * index.fract()
    };
    Spread {
        low: at(0.25),
        median: at(0.5),
        high: at(0.75),
    }
}

/// A column of a table: its title, and what it shows of a sample.
type Column = (&'static str, fn(&Sample) -> f64);

const CPU: Column = ("CPU us/op", |sample| sample.server_cpu_us_per_operation);
const RATE: Column = ("op/s", |sample| sample.operations_per_second);
const P50: Column = ("p50 us", |sample| latency(sample, |latency| latency.p50));
const P99: Column = ("p99 us", |sample| latency(sample, |latency| latency.p99));
const REDIS: Column = ("Redis's CPU us/op", |sample| {
    sample.also_cpu_us_per_operation.unwrap_or(f64::NAN)
});

/// Calls of what has all in itself.
pub(crate) const CALLS: &[Column] = &[CPU, RATE, P50, P99];
/// Calls that go on to Redis.
pub(crate) const REDIS_CALLS: &[Column] = &[CPU, RATE, P50, P99, REDIS];
/// Messages that come from Redis.
pub(crate) const REDIS_MESSAGES: &[Column] = &[CPU, RATE, REDIS];

fn latency(sample: &Sample, of: impl Fn(&Latency) -> f64) -> f64 {
    sample.latency_us.as_ref().map_or(f64::NAN, of)
}

/// A table in Markdown: a server a line, and the ratio of the first one's medians to those of each other.
pub(crate) fn table<'a>(
    columns: &[Column],
    servers: impl Iterator<Item = (&'a str, &'a Figures)>,
) -> String {
    let mut text = String::from("| |");
    for (title, _) in columns {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    let mut first: Option<Vec<f64>> = None;
    for (name, figures) in servers {
        let spreads: Vec<Spread> = columns.iter().map(|(_, of)| figures.spread(of)).collect();
        let _ = write!(text, "| {name} |");
        for spread in &spreads {
            let _ = write!(text, " {spread} |");
        }
        text.push('\n');
        match &first {
            None => first = Some(spreads.iter().map(|spread| spread.median).collect()),
            Some(first) => {
                let _ = write!(text, "| ratio to {name} |");
                for (own, spread) in first.iter().zip(spreads) {
                    let _ = write!(text, " {:.2} |", own / spread.median);
                }
                text.push('\n');
            }
        }
    }
    text
}
