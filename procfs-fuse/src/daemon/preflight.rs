//! What the machine must have before anything is mounted.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::geteuid;

use crate::daemon::Hint;
use crate::host::mountinfo::MountTable;

/// A need of the daemon that this machine does not meet.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Mounting needs root.
    #[error("portholefs mounts a file system and must run as root")]
    NotRoot,
    /// There is no FUSE device.
    #[error(
        "/dev/fuse is not there: the kernel's FUSE is not loaded, or hidden from this container"
    )]
    NoFuse,
    /// There are no control groups to read limits from.
    #[error("no cgroup file system is mounted, so there are no limits to show")]
    NoCgroups,
    /// `/proc/meminfo` is not the kernel's.
    #[error(
        "/proc/meminfo is not the kernel's own file: portholefs must read the host, not a view of it"
    )]
    Covered,
    /// `/proc` could not be read.
    #[error("/proc cannot be read")]
    Proc(#[source] io::Error),
}

impl Hint for PreflightError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotRoot => "sudo portholefs serve",
            Self::NoFuse => "modprobe fuse; in a container: --device /dev/fuse",
            Self::NoCgroups => "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            Self::Covered => "start it on the host, outside any container that has a view",
            Self::Proc(_) => "mount -t proc proc /proc",
        };
        Some(hint.to_owned())
    }
}

/// Checks everything that can be checked before mounting.
///
/// # Errors
///
/// The first need that is not met.
pub fn check() -> Result<(), PreflightError> {
    if !geteuid().is_root() {
        return Err(PreflightError::NotRoot);
    }
    if !Path::new("/dev/fuse").exists() {
        return Err(PreflightError::NoFuse);
    }
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").map_err(PreflightError::Proc)?;
    if !has_cgroups(&mountinfo) {
        return Err(PreflightError::NoCgroups);
    }
    let meminfo = statfs("/proc/meminfo").map_err(|errno| PreflightError::Proc(errno.into()))?;
    if meminfo.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(PreflightError::Covered);
    }
    Ok(())
}

fn has_cgroups(mountinfo: &str) -> bool {
    MountTable::parse(mountinfo).mounts().iter().any(|mount| mount.fs_type.starts_with("cgroup"))
}

/// True when this process is in the host's pid namespace; only there does FUSE
/// tell which thread asks.
pub fn sees_all_processes() -> bool {
    /// `PROC_PID_INIT_INO`: the inode number of the first pid namespace.
    const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|ns| ns.ino() == FIRST_PID_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::one_line;

    #[test]
    fn both_kinds_of_control_groups_count() {
        assert!(has_cgroups("30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw"));
        assert!(has_cgroups("30 23 0:26 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu"));
        assert!(!has_cgroups("30 23 0:26 / /sys ro - sysfs sysfs rw"));
    }

    #[test]
    fn messages_name_the_way_out() {
        assert_eq!(
            one_line(&PreflightError::NotRoot),
            "portholefs mounts a file system and must run as root (try: sudo portholefs serve)"
        );
        assert!(
            one_line(&PreflightError::NoFuse)
                .ends_with("(try: modprobe fuse; in a container: --device /dev/fuse)")
        );
    }
}
