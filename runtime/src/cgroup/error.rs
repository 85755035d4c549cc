//! What can go wrong with a control group.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use cgroups_rs::fs::error::Error as CrateError;

/// A control group that could not be made, limited, joined or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Neither v1 nor v2 is mounted.
    #[error("no cgroup hierarchy is mounted")]
    NotMounted,
    /// A limit was asked for that no controller of this machine can keep.
    #[error("{option} needs the {controller} cgroup controller, which this machine does not offer")]
    NoController {
        /// The controller's name.
        controller: &'static str,
        /// The option that needs it.
        option: &'static str,
    },
    /// v2: an ancestor does not give the controller to its children.
    #[error("{option} needs the {controller} controller, but {} does not take it", path.display())]
    NotDelegated {
        /// `cgroup.subtree_control` of the ancestor.
        path: PathBuf,
        /// The controller's name.
        controller: &'static str,
        /// The option that needs it.
        option: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The directory of a hierarchy is of another file system.
    #[error("{} is not a cgroup hierarchy: something is mounted over it", path.display())]
    Hidden {
        /// The directory.
        path: PathBuf,
    },
    /// v2: a directory could not be made.
    #[error("making cgroup {}", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// v1: the group's directories could not be made.
    #[error("making cgroup {group}: {reason}")]
    Create {
        /// The group, relative to its hierarchies.
        group: String,
        /// The file and the reason.
        reason: String,
    },
    /// The kernel did not accept a limit.
    #[error("limiting cgroup {group} with {option}: {reason}")]
    Limit {
        /// The group, relative to its hierarchies.
        group: String,
        /// The option that asked for it.
        option: &'static str,
        /// The file and the reason.
        reason: String,
    },
    /// A process could not be moved in.
    #[error("joining cgroup {group}: {reason}")]
    Join {
        /// The group, relative to its hierarchies.
        group: String,
        /// The file and the reason.
        reason: String,
    },
    /// A directory could not be removed.
    #[error("removing cgroup {}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The hierarchies could not be locked against other commands.
    #[error("locking {}", path.display())]
    Lock {
        /// What was to be locked.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CgroupError {
    pub(super) fn create(group: &str, error: &CrateError) -> Self {
        Self::Create { group: group.to_owned(), reason: reason(error) }
    }

    pub(super) fn limit(group: &str, option: &'static str, error: &CrateError) -> Self {
        Self::Limit { group: group.to_owned(), option, reason: reason(error) }
    }

    pub(super) fn join(group: &str, error: &CrateError) -> Self {
        Self::Join { group: group.to_owned(), reason: reason(error) }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotMounted => Some("try: mount -t cgroup2 none /sys/fs/cgroup".to_owned()),
            Self::NoController { controller, option } => Some(format!(
                "leave {option} out, or boot with the {controller} controller enabled"
            )),
            Self::NotDelegated { source, option, .. } => Some(delegation_hint(source, option)),
            Self::Hidden { .. } => Some("see: findmnt -R /sys/fs/cgroup".to_owned()),
            Self::Make { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some(
                    "run porthole where /sys/fs/cgroup is writable, not inside a container"
                        .to_owned(),
                )
            }
            _ => None,
        }
    }
}

/// What `source`, the answer to a write to `cgroup.subtree_control`, asks for.
fn delegation_hint(source: &io::Error, option: &str) -> String {
    match source.raw_os_error() {
        // "No internal processes": a group that has processes of its own gives
        // controllers to no child. Only the real root is exempt.
        Some(libc::EBUSY) => "move that group's own processes into a child group first".to_owned(),
        Some(libc::EROFS) => {
            "run porthole where /sys/fs/cgroup is writable, not inside a container".to_owned()
        }
        _ => format!("leave {option} out"),
    }
}

/// The reason in `error`, whose own text says little and quotes its source in
/// Rust's syntax.
fn reason(error: &CrateError) -> String {
    match error.source() {
        Some(source) => format!("{}: {source}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_say_the_way_out() {
        let not_delegated = |errno| CgroupError::NotDelegated {
            path: "/sys/fs/cgroup/cgroup.subtree_control".into(),
            controller: "memory",
            option: "-m",
            source: io::Error::from_raw_os_error(errno),
        };
        let busy = not_delegated(libc::EBUSY);
        assert_eq!(
            busy.to_string(),
            "-m needs the memory controller, but /sys/fs/cgroup/cgroup.subtree_control does not take it"
        );
        assert_eq!(
            busy.hint().as_deref(),
            Some("move that group's own processes into a child group first")
        );
        assert_eq!(not_delegated(libc::ENOENT).hint().as_deref(), Some("leave -m out"));
        assert_eq!(
            CgroupError::NoController { controller: "cpuset", option: "--cpuset-cpus" }
                .hint()
                .as_deref(),
            Some("leave --cpuset-cpus out, or boot with the cpuset controller enabled")
        );
    }
}
