//! A second process from this one: `fork(2)`.

use std::fs;
use std::io;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::ForkResult;

/// Splits this process in two; only for a process with one thread.
///
/// # Errors
///
/// * `EDEADLK`, from us: there is another thread, which could hold a lock that
///   nobody in the new process would ever release.
/// * `EAGAIN`, `ENOMEM`: the machine has no room for another process.
pub fn fork() -> io::Result<ForkResult> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: this is the only thread, as was just counted, and only it could
    // start another; so no lock is held by somebody who is missing in the child.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Makes sure that a child that ends is kept until it is waited for.
///
/// A parent that ignores `SIGCHLD` passes that on through execve(2), and the
/// kernel would throw our children's exit status away.
///
/// # Errors
///
/// None that the kernel documents for these arguments.
pub fn children_can_be_waited_for() -> nix::Result<()> {
    // SAFETY: the default action is no handler of ours, so nothing of ours runs
    // when the signal comes.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}
