//! SIGTERM and SIGINT.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::server::Stop;

/// The same signal again within this time is the first one told twice: whoever signals a process and then its whole
/// group, as `timeout` does, wants it to stop and not to be cut short.
const ECHO: Duration = Duration::from_millis(100);

/// The signals that stop a program. Once installed, they do nothing but appear here.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    on_terminal: bool,
    last: Option<(Signal, Instant)>,
}

/// A signal that stops a program.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: from whoever runs the process.
    Terminate,
    /// SIGINT, and no terminal.
    Interrupt,
    /// SIGINT from a terminal: somebody pressed Ctrl-C and waits.
    KeyPress,
}

impl Signals {
    /// Takes the signals over, for as long as the process lives.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the system refuses.
    pub fn install() -> Result<Self> {
        let install = |kind| {
            unix::signal(kind).map_err(|error| {
                Error::internal(format!("handle signals: {error}")).with_source(error)
            })
        };
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
            on_terminal: io::stdin().is_terminal() || io::stderr().is_terminal(),
            last: None,
        })
    }

    /// Waits for the next one; one that is told twice at once comes once. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Signal {
        loop {
            let signal = poll_fn(|cx| {
                if self.terminate.poll_recv(cx).is_ready() {
                    Poll::Ready(Signal::Terminate)
                } else if self.interrupt.poll_recv(cx).is_ready() {
                    Poll::Ready(if self.on_terminal {
                        Signal::KeyPress
                    } else {
                        Signal::Interrupt
                    })
                } else {
                    Poll::Pending
                }
            })
            .await;
            let now = Instant::now();
            if !is_echo(self.last, signal, now) {
                self.last = Some((signal, now));
                return signal;
            }
        }
    }
}

fn is_echo(last: Option<(Signal, Instant)>, signal: Signal, now: Instant) -> bool {
    last.is_some_and(|(before, at)| before == signal && now.duration_since(at) < ECHO)
}

impl Signal {
    /// How to stop when it comes first: somebody who waits at a terminal does not wait for runtimes to leave.
    #[must_use]
    pub fn stop(self) -> Stop {
        match self {
            Self::Terminate | Self::Interrupt => Stop::Linger,
            Self::KeyPress => Stop::Drain,
        }
    }

    /// The exit code of a process that ends by it: 143 for SIGTERM, 130 for SIGINT.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Terminate => 143,
            Self::Interrupt | Self::KeyPress => 130,
        })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt | Self::KeyPress => "SIGINT",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_signal_at_once_is_an_echo() {
        let first = Instant::now();
        let last = Some((Signal::Terminate, first));
        let soon = first + ECHO / 2;
        assert!(!is_echo(None, Signal::Terminate, first));
        assert!(is_echo(last, Signal::Terminate, first));
        assert!(is_echo(last, Signal::Terminate, soon));
        assert!(!is_echo(last, Signal::Interrupt, soon));
        assert!(!is_echo(last, Signal::Terminate, first + ECHO));
    }
}
