//! Workers that neither serve nor die: given up, and in the end the session too.
//!
//! A worker in uninterruptible sleep keeps its bank until it wakes. The next one
//! serves without it; after some of them it is the fallback worker that does; and
//! when no bank is left, readers are given an error instead of waiting for ever.

use std::io;
use std::sync::atomic::Ordering::SeqCst;

use nix::unistd;

use crate::keeper::{Keeper, report};
use crate::shared::slots::State;
use crate::sys::clock;

/// How long a worker may take to get ready: 5 seconds. It takes milliseconds.
const START_LIMIT_NS: u64 = 5_000_000_000;

impl Keeper {
    /// Workers that were killed because they hung and are not dead yet.
    pub(super) fn stuck(&self) -> usize {
        self.shared.banks.iter().filter(|bank| bank.state() == State::Hung).count()
    }

    /// Gives up a worker that does not get ready.
    pub(super) fn look_for_stalled(&mut self) -> io::Result<()> {
        let Some(index) = self.find(State::Starting) else { return Ok(()) };
        if clock::boottime_ns().saturating_sub(self.started_ns) < START_LIMIT_NS {
            return Ok(());
        }
        report::log("a worker does not get ready; it is given up");
        self.end(index);
        self.retry = true;
        self.did_not_start(false)
    }

    /// A worker is needed and no bank is free for it. Where none serves either, the
    /// session is ended, and the keeper: the next one mounts anew and heals.
    pub(super) fn no_bank(&mut self) -> io::Result<()> {
        report::log("every bank belongs to a worker that cannot be killed");
        let is_any = |state| self.find(state).is_some();
        if is_any(State::Serving) || is_any(State::Ready) || is_any(State::Starting) {
            self.retry = true;
            return Ok(());
        }
        report::log("no worker can serve; readers get an error now");
        self.abort();
        self.forget_stored();
        self.unmount()?;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Ends the sessions: every request that waits gets an error, and what is
    /// mounted is dead. Nobody is to continue it.
    pub(super) fn abort(&self) {
        self.shared.header.device.store(0, SeqCst);
        for abort in self.abort.iter().flatten() {
            // Refused: it has ended already.
            let _ended = unistd::write(abort, b"1");
        }
    }
}
