//! A check: a name, what it needs of a component, and what it does.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use dapr_pluggable::{Block, Error};
use futures::future::BoxFuture;

use crate::fixture::Fixture;

/// One thing that every component with a building block must show.
#[derive(Clone)]
pub struct Check {
    name: String,
    block: Block,
    needs: &'static [Need],
    run: Arc<Run>,
}

type Run = dyn Fn(Arc<Fixture>) -> BoxFuture<'static, Verdict> + Send + Sync;

impl Check {
    pub(crate) fn new<F: Future<Output = Verdict> + Send + 'static>(
        block: Block,
        name: impl Into<String>,
        needs: &'static [Need],
        run: impl Fn(Arc<Fixture>) -> F + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            block,
            needs,
            run: Arc::new(move |fixture| Box::pin(run(fixture))),
        }
    }

    /// The name, such as `state::etag::mismatch`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The building block it is about.
    #[must_use]
    pub fn block(&self) -> Block {
        self.block
    }

    /// What a component must have for it to mean anything.
    #[must_use]
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }

    pub(crate) fn run(&self, fixture: Arc<Fixture>) -> BoxFuture<'static, Verdict> {
        (self.run)(fixture)
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// What a check needs of a component beyond its building block.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A feature that the component's plan claims, by the name that Dapr has for it.
    Claim(&'static str),
    /// Metadata that the plan names as bad.
    BadSettings,
    /// An output binding whose data comes in by an input binding.
    Echo,
    /// Secrets that are there.
    Secrets,
    /// Two values with metadata of their own that see one another's data.
    TwoValues,
    /// A socket: only there can be called what no Init opened.
    Socket,
}

/// How a check ended.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The component does what it must.
    Passed,
    /// It does not, and what was seen instead.
    Failed(String),
    /// It was not asked, and why.
    Skipped(String),
}

/// What a check finds: nothing, or why it did not go through.
pub(crate) type Verdict<T = ()> = Result<T, Finding>;

/// Why a check did not go through.
#[derive(Debug)]
pub(crate) enum Finding {
    Failed(String),
    Skipped(String),
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::Failed(format!("an error ({}): {error}", error.kind().as_str()))
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(Finding::Failed(what)) => Self::Failed(what),
            Err(Finding::Skipped(why)) => Self::Skipped(why),
        }
    }
}
