//! The process behind the socket and one behind that, and the CPU time that they have used.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::UnixStream;

/// Whose CPU time is measured. `None` is who cannot be seen from here, or is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Processes {
    pub(super) server: Option<ServerProcess>,
    /// What the server stands on, such as a database.
    pub(super) also: Option<ServerProcess>,
}

/// CPU time of both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuTime {
    pub(super) server: Option<Duration>,
    pub(super) also: Option<Duration>,
}

impl Processes {
    /// So far; `None` for one that is gone.
    pub(super) fn cpu_time(self) -> CpuTime {
        let of = |process: Option<ServerProcess>| process?.cpu_time().ok();
        CpuTime {
            server: of(self.server),
            also: of(self.also),
        }
    }

    /// Since an earlier time.
    pub(super) fn cpu_time_since(self, earlier: CpuTime) -> CpuTime {
        let now = self.cpu_time();
        let between = |now: Option<Duration>, then: Option<Duration>| now?.checked_sub(then?);
        CpuTime {
            server: between(now.server, earlier.server),
            also: between(now.also, earlier.also),
        }
    }
}

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerProcess {
    pid: u32,
}

impl ServerProcess {
    /// # Errors
    /// When there is none of this id whose CPU time can be read.
    pub(super) fn of_pid(pid: u32) -> Result<Self> {
        let process = Self { pid };
        let read = process.cpu_time();
        read.with_context(|| format!("measure process {pid}"))?;
        Ok(process)
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
    fn who_is_not_there_has_no_time() {
        let nobody = Processes {
            server: Some(ServerProcess { pid: u32::MAX }),
            also: None,
        };
        let time = nobody.cpu_time_since(nobody.cpu_time());
        assert_eq!((time.server, time.also), (None, None));
    }

    #[test]
    fn the_time_of_a_process_grows() {
        let own = ServerProcess::of_pid(std::process::id()).unwrap();
        let before = own.cpu_time().unwrap();
        while own.cpu_time().unwrap() == before {}
        assert!(ServerProcess::of_pid(u32::MAX).is_err());
    }
}
