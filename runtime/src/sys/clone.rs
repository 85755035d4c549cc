//! A child that begins in namespaces of its own: `clone(2)`.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

/// A child process: its id and a descriptor for it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its id in the caller's pid namespace.
    pub(crate) pid: Pid,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
}

/// Clones this process as `fork` does, into the new namespaces of `namespaces`,
/// and runs `child` in the copy, which exits with the status it returns; Linux 5.2.
///
/// The old `clone` and not `clone3`, which container engines that we may
/// ourselves run in answer with `ENOSYS`.
///
/// # Errors
///
/// * `EBUSY`: this process has more than one thread. In its copy a lock that
///   another thread held would stay locked for ever.
/// * `EINVAL`: the kernel was built without one of the namespaces.
/// * `ENOSPC`: a limit of `/proc/sys/user/max_*_namespaces` is reached.
/// * `EAGAIN`: the caller's limit of processes is reached.
pub(crate) fn clone_into(
    namespaces: CloneFlags,
    child: impl FnOnce() -> i32,
) -> nix::Result<Child> {
    if thread_count()? != 1 {
        return Err(Errno::EBUSY);
    }
    let flags = namespaces.bits() | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: RawFd = -1;
    const SAME_STACK: libc::c_long = 0;
    const UNUSED: libc::c_long = 0;
    // SAFETY: without CLONE_VM the child gets a copy of our memory and goes on
    // here on a copy of our stack. No other thread exists (checked above), so no
    // lock is held in the copy by somebody who is not there. With CLONE_PIDFD the
    // kernel writes one int through the third argument, which points to one.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            SAME_STACK,
            &raw mut pidfd,
            UNUSED,
            UNUSED,
        )
    };
    match Errno::result(ret)? {
        0 => exit_now(child()),
        pid => {
            let pid = Pid::from_raw(libc::pid_t::try_from(pid).map_err(|_too_big| Errno::ERANGE)?);
            // SAFETY: the kernel has just made this descriptor for us, and
            // nothing else holds it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid, pidfd })
        }
    }
}

/// How many threads this process has: the subdirectories of its `task/`.
fn thread_count() -> nix::Result<u64> {
    const SELF_AND_PARENT: u64 = 2;
    Ok(nix::sys::stat::stat("/proc/self/task")?.st_nlink.saturating_sub(SELF_AND_PARENT))
}

/// Ends this process at once: no destructor, no buffer of the parent's flushed.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}
