//! The process behind the socket, and the CPU time that it has used.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::UnixStream;

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerProcess {
    pid: u32,
}

impl ServerProcess {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The process that listens on a socket, as the kernel names it.
    pub(super) async fn behind(socket: &Path) -> Option<Self> {
        let connection = UnixStream::connect(socket).await.ok()?;
        let pid = connection.peer_cred().ok()?.pid()?;
        // A process in another pid namespace is 0.
        let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        Some(Self { pid })
    }

    /// The CPU time of all its threads so far, in user mode and in the kernel.
    ///
    /// # Errors
    /// When the process is gone, or the system keeps no such account.
    pub(super) fn cpu_time(self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let ticks = ticks(&stat).with_context(|| format!("find the CPU time in {path}"))?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs(ticks).div_f64(per_second as f64))
    }
}

/// The fields 14 and 15, `utime` and `stime`.
fn ticks(stat: &str) -> Option<u64> {
    // The second field is the name of the program, in parentheses; it may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_anything() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn the_time_of_a_process_grows() {
        let own = ServerProcess::new(std::process::id());
        let before = own.cpu_time().unwrap();
        while own.cpu_time().unwrap() == before {}
        assert!(ServerProcess::new(u32::MAX).cpu_time().is_err());
    }
}
