//! What the kernel provides in every container: `/proc`, `/sys`, `/dev/mqueue`.
//!
//! The mounts made here are kept as descriptors: later steps find the kernel's
//! files through them, and not by a path that an image or a volume may have
//! bent (CVE-2019-16884, CVE-2025-52881).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::inside::Inside;
use super::mounting::{Filesystem, attach};
use crate::report::Fault;
use crate::sys::mount_api::Attributes;

/// The kernel's own files in a container, as mounts that we made.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    /// `/proc`, of the container's pid namespace.
    pub(crate) proc: Inside,
    /// `/sys`, of its network namespace; read-only.
    pub(crate) sys: Inside,
}

impl KernelFiles {
    /// Mounts both, and makes their mount points where they are missing.
    pub(crate) fn mount(root: &Inside) -> Result<Self, Fault> {
        let harmless = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        let proc = mount_at(root, "/proc", &Filesystem::plain("proc"), harmless)?;
        let sysfs = Filesystem::plain("sysfs");
        let sys = mount_at(root, "/sys", &sysfs, harmless | Attributes::READ_ONLY)?;
        Ok(Self { proc: Inside::new(proc), sys: Inside::new(sys) })
    }
}

/// Mounts a new file system on the plain directory `path` in `root`.
pub(crate) fn mount_at(
    root: &Inside,
    path: &str,
    filesystem: &Filesystem<'_>,
    attributes: Attributes,
) -> Result<OwnedFd, Fault> {
    let target = root.plain_directory(Path::new(path))?;
    let mount = filesystem.mount(attributes)?;
    attach(mount.as_fd(), &target, path)?;
    Ok(mount)
}
