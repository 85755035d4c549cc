//! Signals that we pass on instead of obeying.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What is passed on to the container's command.
const FORWARDED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The signals of this process, as data.
///
/// Taken before the container is started: a signal that comes in between is kept
/// by the kernel and read later, never lost.
#[derive(Debug)]
pub struct Forwarded(SignalFd);

impl Forwarded {
    /// Blocks the signals and opens a descriptor for them.
    ///
    /// # Errors
    ///
    /// When the process has no room for another descriptor.
    pub fn take() -> nix::Result<Self> {
        let mut set: SigSet = FORWARDED.into_iter().collect();
        set.add(Signal::SIGWINCH);
        Self::of(&set)
    }

    /// Blocks `set` and opens a descriptor for it.
    ///
    /// # Errors
    ///
    /// When the process has no room for another descriptor.
    pub fn of(set: &SigSet) -> nix::Result<Self> {
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(set, flags).map(Self)
    }

    /// The next signal that has come.
    ///
    /// # Errors
    ///
    /// None that the kernel documents for a descriptor that is open.
    pub fn next(&self) -> nix::Result<Option<Signal>> {
        let info = self.0.read_signal()?;
        let number = info.and_then(|info| i32::try_from(info.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }
}

impl AsFd for Forwarded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
