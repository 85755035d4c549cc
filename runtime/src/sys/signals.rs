//! Signals as a new program expects them.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// Sets every signal to its default action and blocks none.
///
/// A program that is executed inherits ignored and blocked signals; Rust itself
/// ignores `SIGPIPE`.
///
/// # Errors
///
/// None that the kernel documents for these arguments.
pub(crate) fn reset() -> nix::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        match default_action(signal) {
            // SIGKILL and SIGSTOP have no other; 32 and 33 are the C library's.
            Err(Errno::EINVAL) => {}
            done => done?,
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn default_action(signal: libc::c_int) -> nix::Result<()> {
    // SAFETY: signal() takes a number and the constant for the default action;
    // no function of ours becomes a handler.
    let previous = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if previous == libc::SIG_ERR { Err(Errno::last()) } else { Ok(()) }
}
