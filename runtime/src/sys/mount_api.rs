//! Mounts as descriptors: `open_tree(2)`, `fsopen(2)`, `move_mount(2)` and
//! their friends.
//!
//! A mount that is a descriptor has no path yet, so nobody can put another file
//! in its way. Source of truth: `include/uapi/linux/mount.h`.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use bitflags::bitflags;
use nix::NixPath;
use nix::errno::Errno;

use super::returned::new_fd;

bitflags! {
    /// What may not be done through a mount; `MOUNT_ATTR_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Attributes: u64 {
        /// No writing.
        const READ_ONLY = libc::MOUNT_ATTR_RDONLY;
        /// Setuid bits and file capabilities count for nothing.
        const NO_SUID = libc::MOUNT_ATTR_NOSUID;
        /// Device nodes cannot be opened.
        const NO_DEV = libc::MOUNT_ATTR_NODEV;
        /// Files cannot be executed.
        const NO_EXEC = libc::MOUNT_ATTR_NOEXEC;
    }
}

/// Whether a copy of a mount includes what is mounted below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The one mount.
    One,
    /// With all mounts below.
    Recursive,
}

impl Depth {
    fn flag(self) -> libc::c_uint {
        match self {
            Self::One => 0,
            Self::Recursive => libc::AT_RECURSIVE.unsigned_abs(),
        }
    }
}

/// Copies the mount of the file `path` below `dir`, with the file as its top;
/// `open_tree(2)`, Linux 5.2. An empty path is `dir` itself.
///
/// The copy is attached nowhere and goes away with its descriptor. A last
/// symbolic link is followed.
///
/// # Errors
///
/// * `ENOENT`, `EACCES`, `ELOOP`: as of the path.
/// * `EINVAL`: the mount is unbindable.
pub(crate) fn copy_mount<P: ?Sized + NixPath>(
    dir: BorrowedFd<'_>,
    path: &P,
    depth: Depth,
) -> nix::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::O_CLOEXEC.unsigned_abs()
        | libc::AT_EMPTY_PATH.unsigned_abs()
        | depth.flag();
    path.with_nix_path(|path| {
        // SAFETY: `path` is a C string that outlives the call; the other
        // arguments are integers.
        let ret =
            unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) };
        // SAFETY: `ret` is what open_tree has just returned.
        unsafe { new_fd(ret) }
    })?
}

/// Attaches `mount` on top of `target`; `move_mount(2)`, Linux 5.2.
///
/// # Errors
///
/// * `ENOTDIR`: one of the two is a directory and the other is not.
/// * `EINVAL`: `target` is not in a mount of this mount namespace.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd) -> nix::Result<()> {
    const ITSELF: &CStr = c"";
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are C strings that live for ever; the other arguments
    // are integers.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            ITSELF.as_ptr(),
            target.as_fd().as_raw_fd(),
            ITSELF.as_ptr(),
            flags,
        )
    };
    Errno::result(ret).map(drop)
}

/// Adds `attributes` to those of `mount`; `mount_setattr(2)`, Linux 5.12.
///
/// # Errors
///
/// `ENOSYS` on older kernels.
pub(crate) fn add_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    depth: Depth,
) -> nix::Result<()> {
    const ITSELF: &CStr = c"";
    let change =
        libc::mount_attr { attr_set: attributes.bits(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a C string that lives for ever; the kernel reads
    // `change`, which outlives the call, for as many bytes as the last argument
    // says it has.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            ITSELF.as_ptr(),
            libc::AT_EMPTY_PATH.unsigned_abs() | depth.flag(),
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(ret).map(drop)
}

/// A file system that is being configured; `fsopen(2)`, Linux 5.2.
#[derive(Debug)]
pub(crate) struct FilesystemContext(OwnedFd);

impl FilesystemContext {
    /// Begins with a new, unconfigured file system of the type `name`.
    ///
    /// # Errors
    ///
    /// * `ENODEV`: the kernel has no such file system.
    /// * `EPERM`: no CAP_SYS_ADMIN.
    pub(crate) fn open(name: &CStr) -> nix::Result<Self> {
        // SAFETY: `name` is a C string that outlives the call.
        let ret = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC) };
        // SAFETY: `ret` is what fsopen has just returned.
        unsafe { new_fd(ret) }.map(Self)
    }

    /// Sets the option `key` to `value`, as `-o key=value` does.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the file system has no such option or value.
    pub(crate) fn set(&self, key: &CStr, value: &CStr) -> nix::Result<()> {
        self.configure(libc::FSCONFIG_SET_STRING, Some(key), Some(value))
    }

    /// Sets the option `key`, as `-o key` does.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the file system has no such option.
    pub(crate) fn set_flag(&self, key: &CStr) -> nix::Result<()> {
        self.configure(libc::FSCONFIG_SET_FLAG, Some(key), None)
    }

    /// Makes the file system and a mount of it that is attached nowhere.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; see [`complaint`](Self::complaint).
    pub(crate) fn mount(&self, attributes: Attributes) -> nix::Result<OwnedFd> {
        self.configure(libc::FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: fsmount takes three integers and touches no memory of ours.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                self.0.as_raw_fd(),
                libc::FSMOUNT_CLOEXEC,
                attributes.bits(),
            )
        };
        // SAFETY: `ret` is what fsmount has just returned.
        unsafe { new_fd(ret) }
    }

    /// What the file system says about the last call that failed, if anything.
    pub(crate) fn complaint(&self) -> Option<String> {
        const LONGEST: usize = 512;
        let mut text = [0; LONGEST];
        let length = nix::unistd::read(&self.0, &mut text).ok()?;
        let text = String::from_utf8_lossy(text.get(..length)?);
        // Lines begin with their severity: "e overlay: ...".
        Some(text.trim_end().trim_start_matches("e ").to_owned())
    }

    fn configure(
        &self,
        command: libc::fsconfig_command,
        key: Option<&CStr>,
        value: Option<&CStr>,
    ) -> nix::Result<()> {
        const UNUSED: libc::c_int = 0;
        // SAFETY: key and value are null or C strings that outlive the call,
        // which is what each command used here takes.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                command,
                key.map_or(ptr::null(), CStr::as_ptr),
                value.map_or(ptr::null(), CStr::as_ptr),
                UNUSED,
            )
        };
        Errno::result(ret).map(drop)
    }
}
