//! Processes as descriptors: `pidfd_open(2)`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::unistd::Pid;

/// Opens a pidfd for the process `pid`; `pidfd_open(2)`, Linux 5.3.
///
/// # Errors
///
/// * `ESRCH`: there is no such process any more. Callers treat it as ended.
/// * `EMFILE`, `ENFILE`: out of descriptors.
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: pidfd_open takes two integers and touches no memory of ours; any
    // value of `pid` is answered with a descriptor or an error.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), NO_FLAGS) };
    if ret == -1 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(ret).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made `fd` for us, and nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
