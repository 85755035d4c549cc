//! How long a container has been up, and how long its CPUs have been idle.
//!
//! Up is what the kernel answers in the reader's *time namespace*: the host's
//! time since boot plus the namespace's offset. `ps`, `btime` and process start
//! times follow the same namespace, so they agree. A container without a time
//! namespace of its own sees the host's uptime: a younger one would make `ps`
//! compute start times that lie in the future.

use super::cpu_time;
use crate::history::History;
use crate::readings::Sample;

/// The two numbers of `/proc/uptime`, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptime {
    /// Since the machine began, in the reader's time namespace; never below 0.
    pub up_ns: u64,
    /// Idle time of all CPUs together: the idle columns of the container's
    /// `/proc/stat`, added up, as the kernel's is of the host's.
    pub idle_ns: u64,
}

/// The container's uptime; `history` steps forward to this `sample`.
///
/// `None` when the container's use of CPU time is not known.
pub fn uptime(sample: &Sample, history: &mut History) -> Option<Uptime> {
    cpu_time::advance(sample, &mut history.cpu)?;
    let offset_ns = sample.reader.boottime_offset_ns.unwrap_or(0);
    let up_ns = sample.now_ns.checked_add_signed(offset_ns).unwrap_or(0);
    Some(Uptime { up_ns, idle_ns: history.cpu.idle_ns() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{self, SECOND};

    fn seconds(sample: &Sample) -> (u64, u64) {
        let uptime = uptime(sample, &mut History::default()).unwrap();
        (uptime.up_ns / SECOND, uptime.idle_ns / SECOND)
    }

    /// lxcfs: on v2 idle = uptime, and it is never multiplied by the CPUs.
    #[test]
    fn idle_counts_every_cpu_without_what_was_used() {
        let mut sample = samples::used("", 2, 30, 10);
        sample.reader.boottime_offset_ns = Some(-900_000_000_000);
        assert_eq!(seconds(&sample), (100, 160));
    }

    /// lxcfs: uptime of the container beside start times of the host, so that
    /// `ps` shows an elapsed time of 441077233 days.
    #[test]
    fn without_a_time_namespace_it_is_the_hosts() {
        assert_eq!(seconds(&samples::used("", 1, 0, 0)), (1000, 100));
    }

    /// lxcfs: -184467440737092576.00.
    #[test]
    fn an_offset_beyond_the_hosts_age_is_zero() {
        let mut sample = samples::used("", 1, 0, 0);
        sample.reader.boottime_offset_ns = Some(-2_000_000_000_000);
        assert_eq!(seconds(&sample), (0, 100));
    }

    #[test]
    fn more_used_than_there_was_room_for_leaves_no_idle_time() {
        assert_eq!(seconds(&samples::used("", 1, 5000, 0)), (1000, 0));
    }
}
