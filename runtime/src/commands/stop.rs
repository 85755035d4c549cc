//! `porthole stop`.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::{Answer, each, kill};
use crate::cli::options::StopOptions;
use crate::cli::signal::seconds;
use crate::container::{State, Status, Store};
use crate::message::Failure;
use crate::sys::signal;

/// Asks containers to end, then ends them.
pub(super) fn stop(options: &StopOptions, store: &Store) -> Answer {
    let patience = seconds(&options.time)?;
    each(&options.containers, &mut |reference| {
        let state = store.find(reference)?;
        match state.status {
            // As docker: it is what was asked for.
            Status::Exited { .. } => Ok(()),
            Status::Created | Status::Running { .. } => end(&state, store, patience),
        }
    })
}

/// Ends a running container and waits until its monitor has cleared up.
pub(super) fn end(state: &State, store: &Store, patience: Duration) -> Result<(), Failure> {
    let init = kill::open(state)?;
    if !patience.is_zero() {
        send(&init, Signal::SIGTERM)?;
    }
    if !ended_within(&init, patience)? {
        send(&init, Signal::SIGKILL)?;
    }
    Ok(store.wait_for_owner(&state.plan.id)?)
}

fn send(init: &OwnedFd, which: Signal) -> Result<(), Failure> {
    match signal::send(init.as_fd(), which) {
        Err(Errno::ESRCH) => Ok(()),
        other => Ok(other?),
    }
}

fn ended_within(init: &OwnedFd, patience: Duration) -> Result<bool, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(init.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            Ok(0) if Instant::now() < deadline => {}
            other => return Ok(other? > 0),
        }
    }
}
