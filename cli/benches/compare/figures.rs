//! Medians, spread and ratios.

use std::fmt::{self, Write as _};

use serde::Deserialize;

/// What one slice gave, as `pluggable bench` prints it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sample {
    operations_per_second: f64,
    latency_us: Latency,
    server_cpu_us_per_operation: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
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

type Of = fn(&Sample) -> f64;

const COLUMNS: [(&str, Of); 4] = [
    ("CPU us/op", |sample| sample.server_cpu_us_per_operation),
    ("op/s", |sample| sample.operations_per_second),
    ("p50 us", |sample| sample.latency_us.p50),
    ("p99 us", |sample| sample.latency_us.p99),
];

/// A table in Markdown: a server a line, and the ratio of the first one's medians to those of each other.
pub(crate) fn table<'a>(servers: impl Iterator<Item = (&'a str, &'a Figures)>) -> String {
    let mut text = String::from("| |");
    for (title, _) in COLUMNS {
        let _ = write!(text, " {title} |");
    }
    text.push_str("\n|---|---|---|---|---|\n");
    let mut first: Option<Vec<f64>> = None;
    for (name, figures) in servers {
        let spreads = COLUMNS.map(|(_, of)| figures.spread(of));
        let _ = write!(text, "| {name} |");
        for spread in spreads {
            let _ = write!(text, " {spread} |");
        }
        text.push('\n');
        match &first {
            None => first = Some(spreads.map(|spread| spread.median).to_vec()),
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
