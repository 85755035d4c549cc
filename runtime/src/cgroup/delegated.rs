//! v2: a container's group, with the controllers that it needs.
//!
//! A controller works in a group only when every ancestor has it in its
//! `cgroup.subtree_control`. Made here and not by `cgroups-rs`, which enables
//! whatever the machine has and keeps silent when the kernel refuses: we touch
//! nothing that a container does not use, and give a refusal its reason.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst`, "Enabling
//! and Disabling" and "No Internal Process Constraint".

use std::fs;
use std::io;
use std::path::Path;

use super::CgroupError;
use super::available;
use crate::plan::Resources;

/// What limits a container or tells the daemon what it uses.
const WANTED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Makes the group `name` below `root`, and those above it that are missing.
///
/// # Errors
///
/// [`CgroupError::NotDelegated`] when a controller that `resources` need does not
/// reach it; [`CgroupError::Create`] when the kernel refuses a group.
pub(super) fn make(root: &Path, name: &str, resources: &Resources) -> Result<(), CgroupError> {
    let needed = available::needed(resources);
    let mut group = root.to_owned();
    for part in name.split('/') {
        give_controllers(&group, &needed)?;
        group.push(part);
        match fs::create_dir(&group) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(|source| CgroupError::Make { path: group.clone(), source })?,
        }
    }
    Ok(())
}

/// Lets the children of `group` have every wanted controller that it has itself.
fn give_controllers(group: &Path, needed: &[available::Need]) -> Result<(), CgroupError> {
    let path = group.join("cgroup.subtree_control");
    let given = words_of(&path);
    let missing = WANTED.into_iter().filter(|name| !given.iter().any(|given| given == name));
    for controller in missing {
        let Err(source) = fs::write(&path, format!("+{controller}")) else { continue };
        // One that no limit needs only makes the view poorer.
        if let Some((_, option)) = needed.iter().find(|need| need.0 == controller) {
            return Err(CgroupError::NotDelegated { path, controller, option, source });
        }
    }
    Ok(())
}

/// The words of a file; one that cannot be read has none, and the write that
/// follows says why.
fn words_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that plays the root of a cgroup2 tree: groups appear without
    /// the files of the kernel, so the child's file is made first.
    #[test]
    fn wanted_controllers_are_given_once_from_the_top() {
        let root = tempfile::tempdir().unwrap();
        let child = root.path().join("porthole");
        fs::create_dir(&child).unwrap();
        let given = "cpu cpuset io memory pids\n";
        for group in [root.path(), &child] {
            fs::write(group.join("cgroup.subtree_control"), given).unwrap();
        }
        make(root.path(), "porthole/id", &Resources::default()).unwrap();
        assert!(child.join("id").is_dir());
        // A regular file would show a write.
        assert_eq!(fs::read_to_string(child.join("cgroup.subtree_control")).unwrap(), given);
    }

    #[test]
    fn a_refusal_counts_only_for_what_a_limit_needs() {
        let root = tempfile::tempdir().unwrap();
        // Nothing can be written to a folder.
        fs::create_dir(root.path().join("cgroup.subtree_control")).unwrap();
        make(root.path(), "porthole", &Resources::default()).unwrap();
        let limited = Resources { memory: Some(8 << 20), ..Resources::default() };
        let error = make(root.path(), "porthole", &limited).unwrap_err();
        let path = root.path().join("cgroup.subtree_control");
        assert_eq!(
            error.to_string(),
            format!("-m needs the memory controller, but {} does not take it", path.display())
        );
    }
}
