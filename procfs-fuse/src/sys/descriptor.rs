//! Descriptors at agreed numbers, which pass through fork and exec.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Takes over the descriptor that this process was started with at `number`.
///
/// # Errors
///
/// `EBADF`: there is none; the process was started by hand.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag; any number is answered with it or EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the numbers passed here are reserved:
    // nothing else in this process opens or closes them.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes `fd` known as `number` too, whatever was there before; it is inherited
/// through exec.
///
/// # Errors
///
/// `EBADF`, `EMFILE`: `number` is above the limit of descriptors.
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: both are numbers; what was open at `number` is one of the numbers
    // reserved for this, which nothing else uses.
    let placed = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if placed == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes those of `numbers` that are open. Nothing in this process may use them.
pub fn close(numbers: impl IntoIterator<Item = RawFd>) {
    for number in numbers {
        drop(inherited(number));
    }
}

/// The first number that has no meaning of its own: 0, 1 and 2 are standard input, output
/// and error.
pub const FIRST: RawFd = 3;

/// Closes whatever this process was started with at `first` and above: what a shell or an
/// engine has open is nothing that a daemon may keep, nor take for its own
/// (`close_range(2)`, Linux 5.9).
///
/// Call it before anything is opened.
///
/// # Errors
///
/// `ENOSYS` on older kernels: everything stays open.
pub fn close_from(first: RawFd) -> io::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: close_range takes three integers and touches no memory of ours; nothing in this
    // process uses what it was started with unasked.
    let closed =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, NO_FLAGS) };
    if closed == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes what is to be read from an eventfd or a timer that never waits.
pub fn drain(counter: impl AsFd) {
    let mut value = [0; 8];
    let _nothing_left = nix::unistd::read(counter, &mut value);
}

/// How many descriptors this process may have, once it has asked for as many as `wanted`:
/// a shell grants 1,024, which is a soft limit.
///
/// # Errors
///
/// None that the kernel documents for what is passed here.
pub fn granted(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let granted = wanted.min(hard).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, granted, hard)?;
    Ok(granted)
}

/// Says whether `fd` passes through exec.
///
/// # Errors
///
/// None that an open descriptor can cause.
pub fn set_inherited(fd: impl AsFd, inherited: bool) -> io::Result<()> {
    let flags = if inherited { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Uses the descriptor at one of the agreed numbers.
///
/// # Errors
///
/// `EBADF`: there is none.
pub fn borrowed(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD reads a flag; any number is answered with it or EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the agreed numbers stay open for as
    // long as the process lives.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}
