//! Terminals by descriptor: `ioctl_tty(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::returned::new_fd;

/// Opens the container's end of the terminal whose host's end is `master`,
/// without a path; `TIOCSPTLCK` and `TIOCGPTPEER`, Linux 4.13.
///
/// # Errors
///
/// `ENOTTY`: `master` is not the host's end of a terminal.
pub(crate) fn open_peer(master: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int through its argument, which points to one.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    Errno::result(ret)?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes its flags by value.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    // SAFETY: `ret` is what TIOCGPTPEER has just returned: a new descriptor or -1.
    unsafe { new_fd(ret.into()) }
}

/// Makes `terminal` the controlling terminal of this session, which has none.
///
/// # Errors
///
/// `EPERM`: this process does not lead a session, or another one has the terminal.
pub(crate) fn make_controlling(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    const DO_NOT_STEAL: libc::c_int = 0;
    // SAFETY: TIOCSCTTY takes its argument by value.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, DO_NOT_STEAL) };
    Errno::result(ret).map(drop)
}
