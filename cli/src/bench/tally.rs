//! What came of the operations.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

/// The longest latency that is told from a longer one.
const LONGEST: Duration = Duration::from_secs(3600);
/// Three digits of each latency are kept.
const DIGITS: u8 = 3;
/// How many different failures are told apart: texts come from the peer, and may name keys.
const FAILURES: usize = 3;

/// Latencies and failures.
#[derive(Debug)]
pub(super) struct Tally {
    nanos: Histogram<u64>,
    errors: u64,
    failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let nanos = Histogram::new_with_max(nanos(LONGEST), DIGITS);
        Ok(Self {
            nanos: nanos.context("make a histogram")?,
            errors: 0,
            failures: BTreeMap::new(),
        })
    }

    pub(super) fn succeeded(&mut self, latency: Duration) {
        self.nanos.saturating_record(nanos(latency));
    }

    /// Some operations failed, all in the same way.
    pub(super) fn failed(&mut self, text: String, count: u64) {
        self.errors += count;
        if self.failures.len() < FAILURES || self.failures.contains_key(&text) {
            *self.failures.entry(text).or_default() += count;
        }
    }

    /// Adds what another one has.
    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        self.nanos
            .add(other.nanos)
            .context("put latencies together")?;
        let untold = other.errors - other.failures.values().sum::<u64>();
        self.errors += untold;
        for (text, count) in other.failures {
            self.failed(text, count);
        }
        Ok(())
    }

    /// How many succeeded.
    pub(super) fn operations(&self) -> u64 {
        self.nanos.len()
    }

    /// How many failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// Some of the failures, and how often each came.
    pub(super) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// The latency that a share of the operations did not exceed.
    pub(super) fn latency(&self, share: f64) -> Duration {
        Duration::from_nanos(self.nanos.value_at_quantile(share))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_all_parts() {
        let mut all = Tally::new().unwrap();
        for part in 0..4 {
            let mut tally = Tally::new().unwrap();
            for micros in (1..=1000).filter(|micros| micros % 4 == part) {
                tally.succeeded(Duration::from_micros(micros));
            }
            all.add(tally).unwrap();
        }
        assert_eq!(all.operations(), 1000);
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let latency = all.latency(share).as_secs_f64() * 1e6;
            assert!((latency / micros - 1.0).abs() < 0.002, "{share}: {latency}");
        }
        all.succeeded(LONGEST * 2);
        assert!(all.latency(1.0) >= LONGEST);
    }

    #[test]
    fn failures_are_counted_and_some_are_told() {
        let mut all = Tally::new().unwrap();
        for _ in 0..2 {
            let mut tally = Tally::new().unwrap();
            for index in 0..5 {
                tally.failed(format!("{index}"), 2);
            }
            all.add(tally).unwrap();
        }
        assert_eq!(all.errors(), 20);
        let told = all.failures().values().copied().collect::<Vec<_>>();
        assert_eq!(told, [4; FAILURES]);
    }
}
