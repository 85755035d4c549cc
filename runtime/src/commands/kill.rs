//! `porthole kill`.

use std::os::fd::{AsFd, OwnedFd};

use super::{Answer, each};
use crate::cli::options::KillOptions;
use crate::cli::signal::signal;
use crate::container::{State, StateError, Store};
use crate::message::Failure;
use crate::sys;

/// Sends a signal to the first process of containers.
pub(super) fn kill(options: &KillOptions, store: &Store) -> Answer {
    let signal = signal(&options.signal)?;
    each(&options.containers, &mut |reference| {
        let init = open(&store.find(reference)?)?;
        Ok(sys::signal::send(init.as_fd(), signal)?)
    })
}

/// The first process of a running container.
pub(super) fn open(state: &State) -> Result<OwnedFd, Failure> {
    let not_running = || StateError::NotRunning { reference: state.label().to_owned() };
    let init = state.init().ok_or_else(not_running)?;
    Ok(init.open().ok_or_else(not_running)?)
}
