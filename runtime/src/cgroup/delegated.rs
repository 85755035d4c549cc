//! v2: whether the controllers reach a container's group.
//!
//! A controller works in a group only when every ancestor has it in its
//! `cgroup.subtree_control`. `cgroups-rs` writes there when it makes a group and
//! keeps silent when the kernel refuses; here the refusal gets its reason.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst`, "Enabling
//! and Disabling" and "No Internal Process Constraint".

use std::fs;
use std::path::Path;

use cgroups_rs::fs::hierarchies::UNIFIED_MOUNTPOINT;

use super::CgroupError;
use super::available::{self, Need};
use crate::plan::Resources;

/// Checks that the group at `directory` has the controllers that `resources` need.
///
/// # Errors
///
/// [`CgroupError::NotDelegated`] for the first that is missing.
pub(super) fn check(directory: &Path, resources: &Resources) -> Result<(), CgroupError> {
    // An unreadable list is an empty one: the write below then says why.
    let present = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let missing = |need: &Need| !present.split_whitespace().any(|name| name == need.0);
    match available::needed(resources).into_iter().find(missing) {
        Some(need) => enable(directory, need),
        None => Ok(()),
    }
}

/// Enables the controller of `need` in every ancestor of `directory`, from the
/// top: the first refusal is the reason.
fn enable(directory: &Path, (controller, option): Need) -> Result<(), CgroupError> {
    let root = Path::new(UNIFIED_MOUNTPOINT);
    let mut ancestors: Vec<&Path> =
        directory.ancestors().skip(1).take_while(|path| path.starts_with(root)).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        let path = ancestor.join("cgroup.subtree_control");
        if let Err(source) = fs::write(&path, format!("+{controller}")) {
            return Err(CgroupError::NotDelegated { path, controller, option, source });
        }
    }
    Ok(())
}
