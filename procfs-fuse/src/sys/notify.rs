//! Seccomp user notification: calls that the kernel has somebody else answer; ioctl(2)
//! on the listener of a filter, see seccomp_unotify(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::answer::notes::Request;

/// What is answered to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It returns this.
    Value(u32),
    /// It fails with this errno.
    Error(i32),
    /// The kernel carries it out as if nobody had asked; Linux 5.5.
    Kernel,
}

/// Takes one call into `place`, which must be all zero.
///
/// # Errors
///
/// * `ENOENT`: its caller was killed before it could be handed out.
/// * `EINTR`: a signal came first.
/// * `EFAULT`: a page of `place` could not be brought in; the call goes to the next
///   who asks.
pub fn receive(listener: BorrowedFd<'_>, place: &Request) -> io::Result<()> {
    let start = place.0.as_ptr().cast_mut();
    // SAFETY: the kernel writes one `struct seccomp_notif` of 80 bytes, which is how
    // many atomic words `place` has; atomics may be written through a shared
    // reference, and the kernel is just another party that writes them.
    let result =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, start) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// False when the caller of `id` was killed, or a signal has taken it out of the call:
/// then its thread id may be another's.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64 through the pointer, which outlives the call.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    result == 0
}

/// Answers the call `id`.
///
/// # Errors
///
/// * `ENOENT`: nobody waits for it any more.
/// * `EINPROGRESS`: it was answered already.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, which libc has as a number too wide.
    const CONTINUE: u32 = 1;
    let (val, error, flags) = match answer {
        Answer::Value(value) => (i64::from(value), 0, 0),
        Answer::Error(errno) => (0, -errno, 0),
        Answer::Kernel => (0, 0, CONTINUE),
    };
    let response = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the kernel reads one `struct seccomp_notif_resp` through the pointer,
    // which outlives the call.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has callers and answerer of this listener wake each other on the CPU they are on,
/// which saves most of the time a call takes; Linux 6.6.
///
/// # Errors
///
/// `EINVAL`: the kernel is older. Nothing but time is lost.
pub fn wake_where_it_is(listener: BorrowedFd<'_>) -> io::Result<()> {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the request takes an integer, not a pointer, and touches no memory of ours.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
