//! One resource, and how far its component has come.

use dapr_pluggable::Block;

use crate::resource::ComponentResource;
use crate::sockets::Answering;
use crate::target::Category;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) resource: ComponentResource,
    pub(super) category: Category,
    /// The second half of its type, in lower case.
    pub(super) name: String,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    New,
    /// For what.
    Waiting(String),
    /// On which socket, or in this process.
    Open(Option<Answering>),
    /// It was open on a socket that is gone, and waits for that.
    Lost(String),
    /// The component refused; another one on the socket may not.
    Failed(Option<Answering>),
}

impl Entry {
    pub(super) fn new(resource: ComponentResource, category: Category, name: String) -> Self {
        Self {
            resource,
            category,
            name,
            stage: Stage::New,
        }
    }

    /// The building blocks of which it needs one.
    pub(super) fn blocks(&self) -> &'static [Block] {
        self.category.blocks()
    }

    /// Whether there is nothing to do, given the socket that has its component now: it was opened there, or failed there.
    /// What is open in this process stays there, and what was open on a socket is not opened in this process.
    pub(super) fn is_settled(&self, answering: Option<&Answering>) -> bool {
        match &self.stage {
            Stage::New | Stage::Waiting(_) => false,
            Stage::Open(None) => true,
            Stage::Lost(_) => answering.is_none(),
            Stage::Open(Some(before)) | Stage::Failed(Some(before)) => answering
                .is_none_or(|now| (&now.path, now.generation) == (&before.path, before.generation)),
            Stage::Failed(None) => answering.is_none(),
        }
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
