//! Processes as descriptors: `pidfd_open(2)`.

use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use super::returned::new_fd;

/// Opens a pidfd for the process `pid`; `pidfd_open(2)`, Linux 5.3.
///
/// # Errors
///
/// * `ESRCH`: there is no such process any more. Callers treat it as ended.
/// * `EMFILE`, `ENFILE`: out of descriptors.
pub fn open(pid: Pid) -> nix::Result<OwnedFd> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: pidfd_open takes two integers and touches no memory of ours; any
    // value of `pid` is answered with a descriptor or an error.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), NO_FLAGS) };
    // SAFETY: `ret` is what pidfd_open has just returned.
    unsafe { new_fd(ret) }
}
