//! Workers whose keeper is gone still hold its session: it is continued.
//!
//! A worker has every descriptor that a keeper needs. They are copied out of one,
//! all of them are killed, and the next worker answers what they held: readers
//! notice a delay.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::SeqCst;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracing::{info, warn};

use crate::daemon::orphans::Orphans;
use crate::shared::slots::State;
use crate::shared::{Shared, descriptors};
use crate::sys::{descriptor, process};

/// How long a worker may take to die: longer than anything but uninterruptible
/// sleep.
const DEATH_MS: u16 = 1000;

/// Continues the session that an earlier keeper left to `orphans`; false when
/// that is not possible. The caller holds the lock.
pub fn adopt(orphans: &Orphans) -> bool {
    match take(orphans) {
        Ok(()) => {
            info!(workers = ?orphans.pids, "continuing the session of workers without a keeper");
            true
        }
        Err(error) => {
            warn!(%error, workers = ?orphans.pids, "cannot continue a session; mounting anew");
            // Whoever holds the session would keep its readers waiting.
            for worker in &orphans.pids {
                let _dead_already = kill(*worker, Signal::SIGKILL);
            }
            false
        }
    }
}

fn take(orphans: &Orphans) -> io::Result<()> {
    orphans.shared.header.check().map_err(io::Error::other)?;
    let pidfds = orphans.pids.iter().map(|pid| process::pidfd_open(*pid));
    let pidfds = pidfds.collect::<io::Result<Vec<_>>>()?;
    for number in descriptors::of_workers() {
        // The first that has it: one of them may be ending.
        let copy = pidfds.iter().find_map(|one| process::pidfd_getfd(one.as_fd(), number).ok());
        match copy {
            Some(copy) => descriptor::place(copy.as_fd(), number)?,
            None if descriptors::is_optional(number) => {}
            None => return Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }
    for (pid, pidfd) in orphans.pids.iter().zip(&pidfds) {
        end(*pid, pidfd.as_fd())?;
    }
    bury(orphans.shared);
    Ok(())
}

/// Leaves what the workers of `shared`, all of which are dead, had read to the next.
pub(super) fn bury(shared: &Shared) {
    for bank in &shared.banks {
        bank.set_state(match bank.state() {
            State::Serving | State::Lost | State::Hung => State::Lost,
            State::Free | State::Starting | State::Ready => State::Free,
        });
    }
    shared.header.takeovers.fetch_add(1, SeqCst);
}

fn end(worker: Pid, pidfd: BorrowedFd<'_>) -> io::Result<()> {
    kill(worker, Signal::SIGKILL)?;
    let mut waiting = [PollFd::new(pidfd, PollFlags::POLLIN)];
    match poll(&mut waiting, PollTimeout::from(DEATH_MS))? {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        _dead => Ok(()),
    }
}
