//! Clearing up after monitors that were killed.
//!
//! Every command does this first. A container without a monitor has no processes
//! either, for the kernel ends them with it; what is left is its cgroups and its
//! state.

use std::time::{SystemTime, UNIX_EPOCH};

use super::error::StateError;
use super::state::{State, Status};
use super::store::Store;
use crate::cgroup::{CgroupError, ContainerCgroup};

/// What is said of a container that nobody saw ending: 128 + SIGKILL.
const KILLED: u8 = 137;

/// A container that could not be cleared up.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Its state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Clears up after every container that nobody looks after. Returns what could
/// not be cleared up.
///
/// # Errors
///
/// [`StateError`] when the store itself cannot be read.
pub fn abandoned(store: &Store) -> Result<Vec<CollectError>, StateError> {
    let _names = store.lock()?;
    let failed = store.ids()?.into_iter().filter_map(|id| collect(store, &id).err());
    Ok(failed.collect())
}

/// Clears up after the container `id`, if nobody looks after it.
fn collect(store: &Store, id: &str) -> Result<(), CollectError> {
    let Some(_owner) = store.try_own(id)? else { return Ok(()) };
    let state = match store.read(id) {
        Ok(State { status: Status::Exited { .. }, .. }) => return Ok(()),
        // A newer porthole will know what to do with it.
        Err(error @ StateError::Format { .. }) => return Err(error.into()),
        Ok(state) => Some(state),
        // Whoever made the folder was killed before it wrote the first state.
        Err(_missing) => None,
    };
    ContainerCgroup::of(id).remove()?;
    match state {
        Some(state) if state.keep && state.status != Status::Created => {
            ended(store, state, KILLED)?;
        }
        _ => store.remove(id)?,
    }
    Ok(())
}

/// Writes that the container's command has ended with `code`, now.
///
/// # Errors
///
/// [`StateError::Io`].
pub fn ended(store: &Store, state: State, code: u8) -> Result<(), StateError> {
    let status = Status::Exited { code, at_unix_s: now_unix_s() };
    store.write(&State { status, ..state })
}

/// Nanoseconds since 1970; 0 on a machine whose clock is before that.
pub fn now_unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since 1970; 0 on a machine whose clock is before that.
pub fn now_unix_s() -> u64 {
    now_unix_ns() / 1_000_000_000
}
