//! Whether the machine has the controllers that a plan's limits need.

use std::path::Path;

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use super::CgroupError;
use crate::plan::Resources;

/// A limit's controller and the option that asks for it.
pub(super) type Need = (&'static str, &'static str);

/// The controllers that `resources` cannot do without.
pub(super) fn needed(resources: &Resources) -> Vec<Need> {
    let limits = [
        (resources.memory.is_some(), ("memory", "-m")),
        (resources.cpu_quota_us.is_some(), ("cpu", "--cpus")),
        (resources.cpuset.is_some(), ("cpuset", "--cpuset-cpus")),
        (resources.pids.is_some(), ("pids", "--pids-limit")),
    ];
    limits.into_iter().filter(|(asked, _)| *asked).map(|(_, need)| need).collect()
}

/// Checks that `controllers`, those of the machine, are enough for `resources`.
///
/// # Errors
///
/// [`CgroupError::NotMounted`] when there is none at all, else
/// [`CgroupError::NoController`] for the first that is missing.
pub(super) fn check(resources: &Resources, controllers: &[String]) -> Result<(), CgroupError> {
    if controllers.is_empty() {
        return Err(CgroupError::NotMounted);
    }
    let missing = |need: &Need| !controllers.iter().any(|controller| controller == need.0);
    match needed(resources).into_iter().find(missing) {
        Some((controller, option)) => Err(CgroupError::NoController { controller, option }),
        None => Ok(()),
    }
}

/// Checks that a hierarchy's directory is the kernel's: a mount that hides the
/// hierarchies would take every limit and keep none.
///
/// # Errors
///
/// [`CgroupError::Hidden`].
pub(super) fn check_kind(directory: &Path) -> Result<(), CgroupError> {
    let kind = statfs(directory).map(|found| found.filesystem_type());
    match kind {
        Ok(CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC) => Ok(()),
        _ => Err(CgroupError::Hidden { path: directory.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_message(resources: &Resources, controllers: &[&str], message: Option<&str>) {
        let controllers: Vec<String> = controllers.iter().map(|name| (*name).to_owned()).collect();
        let refused = check(resources, &controllers).err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), message);
    }

    #[test]
    fn a_folder_of_another_file_system_is_no_hierarchy() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            check_kind(folder.path()).unwrap_err().to_string(),
            format!(
                "{} is not a cgroup hierarchy: something is mounted over it",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_limit_without_its_controller_is_an_error() {
        let limited = Resources { memory: Some(8 << 20), pids: Some(9), ..Resources::default() };
        check_message(&limited, &["memory", "pids", "cpu"], None);
        check_message(
            &limited,
            &["memory", "cpu"],
            Some(
                "--pids-limit needs the pids cgroup controller, which this machine does not offer",
            ),
        );
        check_message(&limited, &[], Some("no cgroup hierarchy is mounted"));
        check_message(&Resources::default(), &["freezer"], None);
    }
}
