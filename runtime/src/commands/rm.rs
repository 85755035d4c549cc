//! `porthole rm`.

use std::time::Duration;

use super::{Answer, each, stop};
use crate::cli::options::RmOptions;
use crate::container::{StateError, Status, Store};
use crate::message::Failure;

/// Removes containers that have ended; with `-f` it ends them first.
pub(super) fn rm(options: &RmOptions, store: &Store) -> Answer {
    each(&options.containers, &mut |reference| remove(store, reference, options.force))
}

fn remove(store: &Store, reference: &str, force: bool) -> Result<(), Failure> {
    let state = store.find(reference)?;
    let ended = matches!(state.status, Status::Exited { .. });
    if !ended && !force {
        return Err(StateError::Running { reference: reference.to_owned() }.into());
    }
    if !ended {
        stop::end(&state, store, Duration::ZERO)?;
    }
    let _names = store.lock()?;
    Ok(store.remove(&state.plan.id)?)
}
