//! The file that ends a FUSE session: `abort`, in the kernel's `fusectl`.
//!
//! Closing `/dev/fuse` ends a session too, but workers in uninterruptible sleep hold
//! it open. Nothing needs to be mounted for this: the file system is opened by
//! itself, and the keeper holds the file for the day on which it needs it.
//!
//! Kernel source of truth: `fs/fuse/control.c`.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Opens the file of the session with this device number; fsopen(2), Linux 5.2.
///
/// # Errors
///
/// * `ENOSYS`: an older kernel.
/// * `ENOENT`: no such session.
/// * `EPERM`: not allowed to mount.
pub(super) fn open(device: u64) -> io::Result<OwnedFd> {
    let control = fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&control)?;
    let root = fsmount(&control, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    // A session is named after the minor number of its device; the major one is 0.
    let path = format!("{device}/abort");
    Ok(openat(&root, path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?)
}
