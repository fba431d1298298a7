//! How many calls of a value are in flight, and the end of calls.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

const CLOSED: usize = 1;
/// Somebody waits for the last call to end. Without it, ending a call is one subtraction.
const AWAITED: usize = 2;
const CALL: usize = 4;

/// The calls in flight of one value. Closing is final: no call begins after it.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Two flags and a count in one variable, so that no call slips in between looking and closing.
    state: AtomicUsize,
    idle: Notify,
}

impl Calls {
    /// A call begins, and must [`end`](Self::end). `false` when closed: then it has not begun.
    pub(super) fn begin(&self) -> bool {
        let open = self.state.fetch_add(CALL, Ordering::AcqRel) & CLOSED == 0;
        if !open {
            self.end();
        }
        open
    }

    /// A call that has begun ends.
    pub(super) fn end(&self) {
        if self.state.fetch_sub(CALL, Ordering::AcqRel) == CALL | AWAITED {
            self.idle.notify_waiters();
        }
    }

    /// Closes at once; `false` when it was closed before.
    pub(super) fn close(&self) -> bool {
        let first = self.state.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0;
        self.idle.notify_waiters();
        first
    }

    /// Closes as soon as no call is in flight; `false` when it was closed before.
    pub(super) async fn close_when_idle(&self) -> bool {
        self.state.fetch_or(AWAITED, Ordering::AcqRel);
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registered before the look, so that an end after the look is not missed.
            idle.as_mut().enable();
            match self.state.compare_exchange(
                AWAITED,
                AWAITED | CLOSED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(state) if state & CLOSED != 0 => return false,
                Err(_) => idle.await,
            }
        }
    }
}
