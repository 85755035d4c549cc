//! Which process is meant: an id alone is given away again when its process ends.
//!
//! Kernel source of truth: `proc_pid_stat(5)`, field 22, `starttime`.

use std::fs;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::sys::pidfd;

/// Fields of `/proc/PID/stat` between the command's name and the start time.
const FIELDS_BEFORE_START: usize = 19;

/// A process, by its id and the moment it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id, as we see it.
    pub pid: i32,
    /// When it began, in clock ticks since the machine did.
    pub start_ticks: u64,
}

impl Identity {
    /// The process that has the id `pid` now; `None` when there is none.
    pub fn of(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid: pid.as_raw(), start_ticks: start_ticks(&stat)? })
    }

    /// A descriptor of exactly this process; `None` when it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.pid);
        let pidfd = pidfd::open(pid).ok()?;
        // Read after the open: if the id now shows our process, then the
        // descriptor is of our process too.
        (Self::of(pid) == Some(self)).then_some(pidfd)
    }
}

/// Field 22 of the text of `/proc/PID/stat`. The name in field 2 may hold spaces
/// and brackets, so counting begins after the last bracket.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(FIELDS_BEFORE_START)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        let stat = "7 (a) S) (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 98\n";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!(start_ticks("7 (a)"), None);
    }

    #[test]
    fn a_process_is_itself_and_no_other() {
        let me = Identity::of(Pid::this()).unwrap();
        assert!(me.open().is_some());
        assert!(Identity { start_ticks: me.start_ticks + 1, ..me }.open().is_none());
    }
}
