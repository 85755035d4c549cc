//! Whose affinity a call is about, and whether its caller may change it.
//!
//! The caller names threads as its pid namespace does, the kernel's own calls name them
//! as ours does. And since we may pin anybody, who asks us to must be somebody who may.
//!
//! Source of truth: `sched_setaffinity()` and `check_same_owner()` in
//! kernel/sched/syscalls.c.

use std::fs;
use std::path::Path;

use nix::errno::Errno;

use crate::caller::{Task, ids_by_namespace};
use crate::sys::capabilities::SYS_NICE;
use crate::sys::pid_namespace;

const PROC: &str = "/proc";

/// The thread that `caller` calls `pid`, as our pid namespace numbers it.
pub(super) fn thread(caller: u32, pid: i32) -> Result<u32, Errno> {
    if pid == 0 {
        return Ok(caller);
    }
    let task = Task::new(Path::new(PROC), caller);
    let namespace = task.open("ns/pid").map_err(|_gone| Errno::ESRCH)?;
    match pid_namespace::thread_in(&namespace, pid) {
        Ok(thread) => Ok(thread),
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => search(&task, pid),
        Err(_none) => Err(Errno::ESRCH),
    }
}

/// The same before Linux 6.11, among all threads there are.
fn search(caller: &Task, pid: i32) -> Result<u32, Errno> {
    let gone = |_gone| Errno::ESRCH;
    let namespace = caller.namespace("pid").map_err(gone)?;
    let numbers = |directory: &Path| -> Vec<u32> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    };
    let is_it = |thread: &u32| {
        let task = Task::new(Path::new(PROC), *thread);
        let ids = task.text("status").map(|status| ids_by_namespace(&status)).unwrap_or_default();
        ids.last().is_some_and(|id| i64::from(*id) == i64::from(pid))
            && task.namespace("pid").is_ok_and(|number| number == namespace)
    };
    let threads = |process: u32| numbers(&Path::new(PROC).join(process.to_string()).join("task"));
    let mut all = numbers(Path::new(PROC)).into_iter().flat_map(threads);
    all.find(is_it).ok_or(Errno::ESRCH)
}

/// Whether `caller` may say where `thread` runs.
pub(super) fn check(caller: u32, thread: u32) -> Result<(), Errno> {
    if caller == thread {
        return Ok(());
    }
    let status = |id| Task::new(Path::new(PROC), id).text("status").map_err(|_gone| Errno::ESRCH);
    let (ours, theirs) = (Credentials::of(&status(caller)?), Credentials::of(&status(thread)?));
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return Err(Errno::EPERM) };
    if ours.effective == theirs.effective || ours.effective == theirs.real {
        return Ok(());
    }
    let namespace = |id| Task::new(Path::new(PROC), id).namespace("user");
    let is_same =
        matches!((namespace(caller), namespace(thread)), (Ok(one), Ok(other)) if one == other);
    if ours.may_pin && is_same { Ok(()) } else { Err(Errno::EPERM) }
}

/// What counts of a thread's credentials.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    real: u32,
    effective: u32,
    /// It has CAP_SYS_NICE.
    may_pin: bool,
}

impl Credentials {
    /// As `/proc/TID/status` says them.
    fn of(status: &str) -> Option<Self> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let mut users = line("Uid:")?.split_ascii_whitespace().map(str::parse);
        let (real, effective) = (users.next()?.ok()?, users.next()?.ok()?);
        let effective_set = u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?;
        Some(Self { real, effective, may_pin: effective_set >> SYS_NICE & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_status() {
        let status = "Name:\tUid:\nUid:\t0\t1000\t0\t0\nCapEff:\t0000000000800000\n";
        let expected = Credentials { real: 0, effective: 1000, may_pin: true };
        assert_eq!(Credentials::of(status), Some(expected));
        let status = status.replace("800000", "7fffff");
        assert!(!Credentials::of(&status).unwrap().may_pin);
        assert_eq!(Credentials::of("Uid:\t0\n"), None);
    }

    #[test]
    fn a_thread_may_pin_itself() {
        let own = std::process::id();
        assert_eq!(thread(own, 0), Ok(own));
        assert_eq!(thread(own, own.try_into().unwrap()), Ok(own));
        assert_eq!(thread(own, -1), Err(Errno::ESRCH));
        assert_eq!(check(own, own), Ok(()));
    }
}
