//! Runs checks, each within a time, and counts what became of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;

use crate::check::{Check, Finding, Outcome};
use crate::fixture::Fixture;
use crate::subject::Subject;

/// How many things a check may wait for, one after the other.
const WAITS: u32 = 6;

/// What became of checks.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The names of the checks with their outcomes, as they were run.
    pub outcomes: Vec<(String, Outcome)>,
}

impl Report {
    /// How many passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Passed)
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// How many were not asked.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// Whether something passed and nothing failed: where nothing was asked, nothing is known.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.passed() > 0 && self.failed() == 0
    }

    fn count(&self, is_wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| is_wanted(outcome))
            .count()
    }
}

/// Runs checks one after the other.
pub async fn run(subject: &Subject, checks: &[Check]) -> Report {
    let mut report = Report::default();
    for check in checks {
        let outcome = run_one(subject, check).await;
        report.outcomes.push((check.name().to_owned(), outcome));
    }
    report
}

/// Runs one check: skips it where the component lacks what it needs, stops it when it takes too long, cleans up
/// whatever happened, and sees to the deviations that the component's plan has.
pub async fn run_one(subject: &Subject, check: &Check) -> Outcome {
    if let Some(reason) = subject.lacks(check) {
        return Outcome::Skipped(reason);
    }
    let fixture = Arc::new(Fixture::new(subject, check));
    let limit = subject.wait() * WAITS;
    let run = AssertUnwindSafe(check.run(Arc::clone(&fixture))).catch_unwind();
    let outcome = match tokio::time::timeout(limit, run).await {
        Ok(Ok(verdict)) => Outcome::from(verdict),
        Ok(Err(_)) => Outcome::Failed("the check panicked".to_owned()),
        Err(_) => Outcome::Failed(format!("it took longer than {limit:?}")),
    };
    let outcome = match (outcome, fixture.clean_up().await) {
        (Outcome::Passed, Err(Finding::Failed(what) | Finding::Skipped(what))) => {
            Outcome::Failed(format!("cleaning up: {what}"))
        }
        (outcome, _) => outcome,
    };
    deviate(subject, check, outcome)
}

fn deviate(subject: &Subject, check: &Check, outcome: Outcome) -> Outcome {
    let deviation = subject.plan().deviation(check.name(), subject.setup());
    let Some(deviation) = deviation else {
        return outcome;
    };
    match outcome {
        Outcome::Failed(_) => Outcome::Skipped(format!("deviates: {}", deviation.reason)),
        Outcome::Passed => Outcome::Failed(format!(
            "it passes, though the plan has a deviation: {}",
            deviation.reason
        )),
        Outcome::Skipped(reason) => Outcome::Skipped(reason),
    }
}
