//! How far the host has come: what its health endpoints answer from.

use tokio::sync::watch;

/// Whether the host can serve. Clones share one state.
#[derive(Clone, Debug)]
pub struct Readiness {
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Starting,
    Outbound,
    Ready,
    Stopping,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Not ready for anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Starting),
        }
    }

    /// Whether calls of the application are served: the components that could be opened are open. `healthz/outbound`.
    #[must_use]
    pub fn is_outbound_ready(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Outbound | Stage::Ready)
    }

    /// Whether everything is served, events to the application too. `healthz`.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.stage.borrow() == Stage::Ready
    }

    /// From now on calls of the application are served.
    pub fn set_outbound_ready(&self) {
        self.advance(Stage::Outbound);
    }

    /// From now on everything is served.
    pub fn set_ready(&self) {
        self.advance(Stage::Ready);
    }

    /// From now on nothing is ready any more.
    pub fn set_stopping(&self) {
        self.advance(Stage::Stopping);
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            if later {
                *stage = to;
            }
            later
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_goes_forward() {
        let readiness = Readiness::new();
        let seen = readiness.clone();
        assert!(!seen.is_outbound_ready() && !seen.is_ready());
        readiness.set_outbound_ready();
        assert!(seen.is_outbound_ready() && !seen.is_ready());
        readiness.set_ready();
        readiness.set_outbound_ready();
        assert!(seen.is_outbound_ready() && seen.is_ready());
        readiness.set_stopping();
        readiness.set_ready();
        assert!(!seen.is_outbound_ready() && !seen.is_ready());
    }
}
