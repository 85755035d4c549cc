//! Closing what a child has inherited: `close_range(2)`.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// 0, 1 and 2 are standard input, output and error.
const FIRST_NOT_STANDARD: u32 = 3;

/// Closes every descriptor of this process but the three standard ones and
/// `kept`; `close_range(2)`, Linux 5.9.
///
/// For a new child, which never goes back to the code that owns the others: to
/// that code, its copy in the parent, nothing happens.
///
/// # Errors
///
/// `ENOSYS` on older kernels.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = FIRST_NOT_STANDARD;
    for fd in kept {
        if fd > first {
            close_from_to(first, fd - 1)?;
        }
        first = first.max(fd.saturating_add(1));
    }
    close_from_to(first, u32::MAX)
}

fn close_from_to(first: u32, last: u32) -> nix::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: close_range takes three integers and touches no memory of ours;
    // that nobody in this process uses the closed descriptors any more is what
    // `close_all_but` asks of its callers.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, last, NO_FLAGS) };
    Errno::result(ret).map(drop)
}
