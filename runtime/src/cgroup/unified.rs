//! The cgroup2 tree of a hybrid machine: beside the v1 hierarchies, without any of
//! their controllers.
//!
//! A container has a group there as well, because the kernel counts pressure
//! (`memory.pressure` and its like) in cgroup2 groups alone. Where none can be
//! made, the view is poorer, and nothing else.
//!
//! Source of truth: `systemd.io/CGROUP_DELEGATION`, "Three Different Tree Setups";
//! `Documentation/admin-guide/cgroup-v2.rst`, "PSI".

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;

use super::CgroupError;

/// Where systemd, and everybody after it, mounts the tree.
const MOUNT_POINT: &str = "/sys/fs/cgroup/unified";

/// The group `name` in the tree; `None` where there is no such tree.
pub(super) fn group(name: &str) -> Option<PathBuf> {
    let kind = statfs(MOUNT_POINT).ok()?.filesystem_type();
    (kind == CGROUP2_SUPER_MAGIC).then(|| Path::new(MOUNT_POINT).join(name))
}

/// Makes the group `name`, if it can be made.
pub(super) fn make(name: &str) {
    if let Some(group) = group(name) {
        let _poorer = fs::create_dir_all(group);
    }
}

/// Moves the process `pid` into the group `name`, where that was made.
pub(super) fn join(name: &str, pid: Pid) -> Result<(), CgroupError> {
    let Some(group) = group(name).filter(|group| group.exists()) else { return Ok(()) };
    let path = group.join("cgroup.procs");
    fs::write(&path, pid.to_string()).map_err(|source| CgroupError::Join {
        group: name.to_owned(),
        reason: format!("{}: {source}", path.display()),
    })
}
