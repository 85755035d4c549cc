//! `porthole update`.

use cgroupfs::cpu_list::CpuList;

use super::{Answer, each, kill, surroundings};
use crate::cgroup::ContainerCgroup;
use crate::cli::limits::{changed, check_named};
use crate::cli::options::{LimitOptions, UpdateOptions};
use crate::container::Store;
use crate::message::{Failure, tell};

/// Changes the limits of running containers.
pub(super) fn update(options: &UpdateOptions, store: &Store) -> Answer {
    check_named(&options.limits)?;
    let online = surroundings::online()?;
    each(&options.containers, &mut |reference| limit(store, reference, &options.limits, &online))
}

/// Changes the limits of one container, and what is noted of them.
fn limit(
    store: &Store,
    reference: &str,
    options: &LimitOptions,
    online: &CpuList,
) -> Result<(), Failure> {
    let mut state = store.find(reference)?;
    // Another update, or the container's end, would be written over.
    let _names = store.lock()?;
    state = store.read(&state.plan.id)?;
    kill::open(&state)?;
    let before = &state.plan.resources;
    let after = changed(options, before, online)?;
    for warning in ContainerCgroup::of(&state.plan.id).update(before, &after)? {
        tell(&warning.to_string());
    }
    state.plan.resources = after;
    Ok(store.write(&state)?)
}
