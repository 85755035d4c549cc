//! Reading cgroup paths as the host writes them.
//!
//! A container engine may have given the daemon a cgroup namespace of its own
//! (Kubernetes does on v2); `/proc/PID/cgroup` and mountinfo then name everybody
//! else's groups by a way up, `/../../x`, that leads nowhere.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use super::task::Task;

/// Number of the first cgroup namespace, the same on every kernel;
/// `PROC_CGROUP_INIT_INO` in include/linux/proc_ns.h.
const INITIAL: u64 = 0xEFFF_FFFB;

/// Processes that are in the host's cgroup namespace: its init, and on a machine
/// that hides that one, the kernel's own `kthreadd`.
const ON_THE_HOST: [&str; 2] = ["1", "2"];

/// Takes the calling thread, and those it starts from then on, to the host's
/// cgroup namespace.
///
/// # Errors
///
/// Why the last of the processes there could not be followed.
pub fn join_hosts(proc: &Path) -> io::Result<()> {
    if Task::named(proc, "self").namespace("cgroup").is_ok_and(|number| number == Some(INITIAL)) {
        return Ok(());
    }
    let join = |name: &&str| {
        let namespace = File::open(Task::named(proc, name).path("ns/cgroup"))?;
        Ok(setns(namespace, CloneFlags::CLONE_NEWCGROUP)?)
    };
    let mut joined = Ok(());
    for name in &ON_THE_HOST {
        joined = join(name);
        if joined.is_ok() {
            break;
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_already_stays() {
        let root = tempfile::tempdir().unwrap();
        let ns = root.path().join("self/ns");
        std::fs::create_dir_all(&ns).unwrap();
        std::os::unix::fs::symlink("cgroup:[4026531835]", ns.join("cgroup")).unwrap();
        join_hosts(root.path()).unwrap();
    }

    #[test]
    fn without_anybody_to_follow_the_reason_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(join_hosts(root.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
