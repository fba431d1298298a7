//! COMMAND: the process that runs beside what a verb serves, and decides when the verb ends.

use std::ffi::{OsStr, OsString};
use std::future::{Future, poll_fn};
use std::io;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use dapr_pluggable::Stop;
use dapr_pluggable::program::{Signal, Signals};
use rustix::process::{Pid, Signal as Number, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep_until};

use crate::exit::{self, Failure};
use crate::values::duration;

/// How long COMMAND has to end.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// How long COMMAND may take to end after a signal, before it is killed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "20s",
        value_parser = duration
    )]
    command_grace: Duration,
}

/// A command that is not started yet.
#[derive(Debug)]
pub(crate) struct Beside {
    command: Command,
    name: String,
    grace: Duration,
}

impl Beside {
    pub(crate) fn new(program: &OsStr, words: &[OsString], grace: Grace) -> Self {
        let mut command = Command::new(program);
        command.args(words).kill_on_drop(true);
        Self {
            command,
            name: program.to_string_lossy().into_owned(),
            grace: grace.command_grace,
        }
    }

    /// Starts it, with these environment variables beside our own.
    pub(crate) fn start(
        mut self,
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<Running> {
        let others = Others::install()?;
        let child = self.command.envs(environment).spawn().map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::NotFound => exit::NO_COMMAND,
                _ => exit::NOT_STARTED,
            };
            Failure::new(code, format!("start {:?}: {error}", self.name))
        })?;
        tracing::info!(command = self.name, pid = child.id(), "started");
        Ok(Running {
            child,
            others,
            name: self.name,
            grace: self.grace,
        })
    }
}

/// A command that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    others: Others,
    name: String,
    grace: Duration,
}

/// How a command came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended, by itself or after a signal.
    Ended {
        /// The code that says how.
        code: ExitCode,
        /// The signal that was the reason, if one was.
        signal: Option<Signal>,
    },
    /// A second signal wants everything to end at once, with this code.
    CutShort(ExitCode),
}

impl End {
    /// Stops what ran beside the command, which lingers where no signal was the reason, and says with which code to end. A
    /// second signal cuts the stop short; the one that was the reason counts.
    pub(crate) async fn stop(
        self,
        signals: &mut Signals,
        stop: impl AsyncFnOnce(Stop),
    ) -> ExitCode {
        let (code, first) = match self {
            Self::CutShort(code) => return code,
            Self::Ended { code, signal } => (code, signal),
        };
        let how = first.map_or(Stop::Linger, Signal::stop);
        tokio::select! {
            biased;
            again = second(signals, first) => {
                tracing::warn!(signal = %again, "the stop was cut short");
                again.exit_code()
            }
            () = stop(how) => code,
        }
    }
}

impl Running {
    /// Waits until it ends, passing on every signal that comes. After the first that stops programs it has its grace to
    /// end; a second one kills it. When `stop` is ready, that is as a SIGTERM.
    pub(crate) async fn watch(
        mut self,
        signals: &mut Signals,
        stop: impl Future<Output = ()>,
    ) -> Result<End> {
        let mut first: Option<(Signal, Instant)> = None;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                number = self.others.next() => self.send(number),
                signal = signals.next() => {
                    if first.is_some() {
                        tracing::warn!(command = self.name, %signal, "killed");
                        self.send(Number::KILL);
                        return Ok(End::CutShort(signal.exit_code()));
                    }
                    self.pass_on(signal);
                    tracing::info!(command = self.name, %signal, "waiting for its end");
                    first = Some((signal, Instant::now() + self.grace));
                }
                () = &mut stop, if first.is_none() => {
                    tracing::info!(command = self.name, "told to stop");
                    self.send(Number::TERM);
                    first = Some((Signal::Terminate, Instant::now() + self.grace));
                }
                status = self.child.wait() => {
                    let status = status.context("wait for the command")?;
                    tracing::info!(command = self.name, %status, "ended");
                    return Ok(End::Ended {
                        code: exit::code_of(status),
                        signal: first.map(|(signal, _)| signal),
                    });
                }
                () = passed(first.map(|(_, deadline)| deadline)) => {
                    tracing::warn!(command = self.name, grace = ?self.grace, "killed: it has not ended in time");
                    self.child.kill().await.context("kill the command")?;
                }
            }
        }
    }

    fn pass_on(&self, signal: Signal) {
        match signal {
            // The terminal has sent it to the whole process group.
            Signal::KeyPress if in_foreground() => {}
            Signal::KeyPress | Signal::Interrupt => self.send(Number::INT),
            _ => self.send(Number::TERM),
        }
    }

    fn send(&self, number: Number) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let Some(id) = id.and_then(Pid::from_raw) else {
            return;
        };
        if let Err(error) = kill_process(id, number) {
            tracing::debug!(command = self.name, ?number, %error, "cannot pass a signal on");
        }
    }
}

/// The second signal of all. The key that ended the command may be heard of after the command's end: that one is the
/// first.
async fn second(signals: &mut Signals, first: Option<Signal>) -> Signal {
    if first.is_none() {
        let signal = signals.next().await;
        tracing::info!(%signal, "stopping already");
    }
    signals.next().await
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether keys pressed on our terminal reach our process group, and so the command, by themselves.
fn in_foreground() -> bool {
    let own = getpgrp();
    tcgetpgrp(io::stdin()) == Ok(own) || tcgetpgrp(io::stderr()) == Ok(own)
}

/// Signals that say something to the command and nothing to us. SIGHUP has a daprd start again.
#[derive(Debug)]
struct Others([(unix::Signal, Number); 4]);

impl Others {
    fn install() -> Result<Self> {
        let install = |kind, number| match unix::signal(kind) {
            Ok(signal) => Ok((signal, number)),
            Err(error) => Err(error).context("handle signals"),
        };
        Ok(Self([
            install(SignalKind::hangup(), Number::HUP)?,
            install(SignalKind::quit(), Number::QUIT)?,
            install(SignalKind::user_defined1(), Number::USR1)?,
            install(SignalKind::user_defined2(), Number::USR2)?,
        ]))
    }

    async fn next(&mut self) -> Number {
        poll_fn(|context| {
            for (signal, number) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
