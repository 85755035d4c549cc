//! What a system call returned, as Rust says it.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// The descriptor that a call has just made, or its error.
///
/// # Safety
///
/// `ret` is the value of a system call that returns a new descriptor or -1, and
/// is used for nothing else.
pub(super) unsafe fn new_fd(ret: libc::c_long) -> nix::Result<OwnedFd> {
    let ret = Errno::result(ret)?;
    let fd = RawFd::try_from(ret).map_err(|_not_a_descriptor| Errno::EBADF)?;
    // SAFETY: the caller vouches that the kernel has just made `fd` and that
    // nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
