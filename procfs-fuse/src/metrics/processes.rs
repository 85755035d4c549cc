//! What our processes cost, as the kernel tells it.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use crate::readings::ticks_per_second;
use crate::shared::Shared;
use crate::shared::slots::State;

/// Field 14 of a stat file, `utime`, counted from the state, which is field 3.
const USER_TICKS: usize = 11;

/// What one process costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// What it is to the daemon: `keeper` or `worker`.
    pub role: &'static str,
    /// CPU time that it has used, in seconds; field 14 and 15 of its `stat`.
    pub cpu_seconds: f64,
    /// Resident memory in bytes; `VmRSS` of its `status`.
    pub resident_bytes: u64,
    /// Open descriptors; entries of its `fd`.
    pub open_descriptors: u64,
}

/// The processes of a daemon that are there: its keeper, with this pid, and the worker that
/// serves in `shared`.
pub fn all(proc: &Path, shared: &Shared, keeper: u32) -> Vec<Process> {
    let serving = shared.banks.iter().find(|bank| bank.state() == State::Serving);
    let worker = serving.map(|bank| bank.pid.load(SeqCst));
    let pids = [("keeper", Some(keeper)), ("worker", worker)];
    pids.into_iter().filter_map(|(role, pid)| Process::look(proc, role, pid?)).collect()
}

impl Process {
    /// `None` when it has ended.
    fn look(proc: &Path, role: &'static str, pid: u32) -> Option<Self> {
        let folder = proc.join(pid.to_string());
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        Some(Self {
            role,
            cpu_seconds: cpu_seconds(&text("stat")?, ticks_per_second())?,
            resident_bytes: resident_bytes(&text("status")?)?,
            open_descriptors: fs::read_dir(folder.join("fd")).ok()?.count() as u64,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a CPU time that a float cannot count is 3,000 years"
)]
fn cpu_seconds(stat: &str, ticks_per_second: u64) -> Option<f64> {
    // The name, in brackets, may be anything.
    let (_name, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(USER_TICKS).take(2);
    let ticks = ticks.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(ticks as f64 / ticks_per_second as f64)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_seconds(stat, 100), Some(2.0));
        assert_eq!(cpu_seconds("7 (x) S 1", 100), Some(0.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_there_and_one_that_has_ended_is_not() {
        let own = Process::look(Path::new("/proc"), "worker", std::process::id()).unwrap();
        assert!(own.resident_bytes > 0 && own.open_descriptors > 2, "{own:?}");
        assert_eq!(Process::look(Path::new("/proc"), "worker", 0), None);
    }
}
