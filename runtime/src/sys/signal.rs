//! Signals to a process by descriptor: `pidfd_send_signal(2)`.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Sends `signal` to the process; `pidfd_send_signal(2)`, Linux 5.1.
///
/// # Errors
///
/// * `ESRCH`: the process has ended. Callers treat it as done.
/// * `EPERM`: it belongs to somebody else.
pub fn send(process: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    let no_info: *const libc::siginfo_t = ptr::null();
    // SAFETY: pidfd_send_signal reads a siginfo_t only when the pointer is not
    // null, and it is null; the descriptor is open for as long as it is borrowed.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as libc::c_int,
            no_info,
            NO_FLAGS,
        )
    };
    Errno::result(ret).map(drop)
}
