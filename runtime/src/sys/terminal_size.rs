//! How many rows and columns a terminal has: `TIOCGWINSZ`, `TIOCSWINSZ`.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::pty::Winsize;

/// The size of the terminal.
///
/// # Errors
///
/// `ENOTTY`: it is no terminal.
pub fn read(terminal: BorrowedFd<'_>) -> nix::Result<Winsize> {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to the address, which is that of one
    // that outlives the call; the descriptor is open while it is borrowed.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    Errno::result(ret).map(|_zero| size)
}

/// Gives the terminal a size; its foreground process gets `SIGWINCH` if that is new.
///
/// # Errors
///
/// `ENOTTY`: it is no terminal.
pub fn write(terminal: BorrowedFd<'_>, size: &Winsize) -> nix::Result<()> {
    let size: *const Winsize = size;
    // SAFETY: TIOCSWINSZ reads one winsize from the address, which is that of a
    // borrowed one; the descriptor is open while it is borrowed.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, size) };
    Errno::result(ret).map(drop)
}
