//! One resource, and how far its component has come.

use std::time::Duration;

use dapr_pluggable::{Block, Error, ErrorKind};
use tokio::time::Instant;

use crate::resource::ComponentResource;
use crate::sockets::Answering;
use crate::target::Category;

/// How long to wait before what failed for a passing reason is tried again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) resource: ComponentResource,
    pub(super) category: Category,
    /// The second half of its type, in lower case.
    pub(super) name: String,
    stage: Stage,
    /// How long the next pause is.
    pause: Duration,
}

#[derive(Debug)]
enum Stage {
    New,
    /// For what.
    Waiting(String),
    /// On which socket, or in this process.
    Open(Option<Answering>),
    /// It was open on a socket that is gone, and waits for that.
    Lost(String),
    /// The component refused. Another one on the socket may not, nor this one at a later time, where there is one.
    Failed {
        at: Option<Answering>,
        again: Option<Instant>,
    },
}

impl Entry {
    pub(super) fn new(resource: ComponentResource, category: Category, name: String) -> Self {
        Self {
            resource,
            category,
            name,
            stage: Stage::New,
            pause: FIRST_PAUSE,
        }
    }

    /// The building blocks of which it needs one.
    pub(super) fn blocks(&self) -> &'static [Block] {
        self.category.blocks()
    }

    /// Whether there is nothing to do, given the socket that has its component now: it was opened there, or failed there
    /// and it is not time to try again. What is open in this process stays there, and what was on a socket is not opened
    /// in this process.
    pub(super) fn is_settled(&self, answering: Option<&Answering>) -> bool {
        let is_same = |before: &Answering| {
            answering
                .is_none_or(|now| (&now.path, now.generation) == (&before.path, before.generation))
        };
        match &self.stage {
            Stage::New | Stage::Waiting(_) => false,
            Stage::Open(None) => true,
            Stage::Lost(_) => answering.is_none(),
            Stage::Open(Some(before)) => is_same(before),
            Stage::Failed { at, again } => {
                let is_there = at.is_some() == answering.is_some();
                let is_due = again.is_some_and(|again| again <= Instant::now());
                at.as_ref().map_or(answering.is_none(), is_same) && !(is_there && is_due)
            }
        }
    }

    /// Whether something is missing that it needs.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// Notes where it is open.
    pub(super) fn open(&mut self, answering: Option<Answering>) {
        self.stage = Stage::Open(answering);
        self.pause = FIRST_PAUSE;
    }

    /// Notes that its component refused.
    pub(super) fn fail(&mut self, at: Option<Answering>, error: &Error) {
        let passes = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Throttled
        );
        let again = passes.then(|| Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.stage = Stage::Failed { at, again };
    }

    /// The socket on which it is open.
    pub(super) fn socket(&self) -> Option<&Answering> {
        match &self.stage {
            Stage::Open(answering) => answering.as_ref(),
            _ => None,
        }
    }

    /// Notes for what it waits; whether that is news.
    pub(super) fn waits_for(&mut self, what: &str) -> bool {
        match &self.stage {
            Stage::Waiting(before) | Stage::Lost(before) if before == what => return false,
            Stage::Open(_) | Stage::Lost(_) => self.stage = Stage::Lost(what.to_owned()),
            _ => self.stage = Stage::Waiting(what.to_owned()),
        }
        true
    }
}
