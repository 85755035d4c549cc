//! A timer as a descriptor, armed by one process and read by another.
//!
//! nix's `TimerFd` cannot be made from an inherited descriptor without `unsafe`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

/// Makes a timer that is not armed; reading it does not wait.
///
/// # Errors
///
/// `EMFILE`, `ENFILE`: out of descriptors.
pub fn create() -> io::Result<OwnedFd> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    Ok(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?.into())
}

/// Lets `timer` expire once, `after` this time.
///
/// # Errors
///
/// None that a timer can cause.
pub fn arm(timer: BorrowedFd<'_>, after: Duration) -> io::Result<()> {
    let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::timespec {
        tv_sec: libc::time_t::try_from(after.as_secs()).map_err(io::Error::other)?,
        tv_nsec: libc::c_long::from(after.subsec_nanos().cast_signed()),
    };
    let spec = libc::itimerspec { it_interval: once, it_value: value };
    const RELATIVE: libc::c_int = 0;
    // SAFETY: `spec` outlives the call, and the kernel writes nothing back
    // where the last argument is null.
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), RELATIVE, &raw const spec, std::ptr::null_mut())
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
