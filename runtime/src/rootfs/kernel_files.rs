//! What the kernel provides in every container: `/proc` and `/sys`.
//!
//! The mounts made here are kept as descriptors: later steps find the kernel's
//! files through them, and not by a path that an image or a volume may have
//! bent (CVE-2019-16884, CVE-2025-52881).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::inside::Inside;
use super::mounting::{Filesystem, attach};
use crate::report::Fault;
use crate::sys::mount_api::Attributes;

/// Nothing that is mounted with these can be executed or opened as a device.
pub(crate) const HARMLESS: Attributes =
    Attributes::NO_SUID.union(Attributes::NO_DEV).union(Attributes::NO_EXEC);

/// The kernel's own files in a container, as mounts that we made.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    /// `/proc`, of the container's pid namespace.
    proc: Inside,
    /// `/sys`, of its network namespace; read-only.
    sys: Inside,
}

impl KernelFiles {
    /// Mounts both, and makes their mount points where they are missing.
    pub(crate) fn mount(root: &Inside) -> Result<Self, Fault> {
        let proc = mount_at(root, "/proc", &Filesystem::plain("proc"), HARMLESS)?;
        let read_only = HARMLESS | Attributes::READ_ONLY;
        let sys = mount_at(root, "/sys", &Filesystem::plain("sysfs"), read_only)?;
        Ok(Self { proc: Inside::new(proc), sys: Inside::new(sys) })
    }

    /// The file `path`, below `/proc` or `/sys`, as a place only. No symbolic
    /// link is followed, and what is mounted there is what we have mounted.
    ///
    /// # Errors
    ///
    /// * `ENOENT`: this kernel has no such file.
    /// * `EINVAL`: the path is not below `/proc` or `/sys`.
    pub(crate) fn place(&self, path: &Path) -> nix::Result<OwnedFd> {
        let (tree, path) = self.tree(path)?;
        tree.plain_place(path)
    }

    /// The text of the file `path`, below `/proc` or `/sys`.
    ///
    /// # Errors
    ///
    /// The kernel's, and those of [`place`](Self::place).
    pub(crate) fn text(&self, path: &Path) -> io::Result<String> {
        let (tree, path) = self.tree(path)?;
        io::read_to_string(File::from(tree.open(path, OFlag::O_RDONLY)?))
    }

    fn tree<'p>(&self, path: &'p Path) -> nix::Result<(&Inside, &'p Path)> {
        if let Ok(path) = path.strip_prefix("/proc") {
            return Ok((&self.proc, path));
        }
        let path = path.strip_prefix("/sys").map_err(|_elsewhere| Errno::EINVAL)?;
        Ok((&self.sys, path))
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
