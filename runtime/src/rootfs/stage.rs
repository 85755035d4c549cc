//! The tmpfs in which a new root is put together.
//!
//! It is mounted on top of the host's `/` in the container's own mount
//! namespace: a place that always exists and that no path leads to, since the
//! lookup of a path begins *below* what is mounted on `/`. It goes out of sight
//! together with the host's files; what a container writes stays in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::fchdir;

use super::inside::Inside;
use super::mounting::{Filesystem, attach};
use crate::report::{Fault, Object};
use crate::sys::mount_api::Attributes;

/// The tmpfs that holds the layers of a new root.
#[derive(Debug)]
pub(crate) struct Stage {
    inside: Inside,
}

impl Stage {
    /// Mounts an empty one and makes it the working directory: paths of layers
    /// are relative to it.
    ///
    /// Its files may take half of `memory`, as the kernel gives a tmpfs half of
    /// the machine's: what `df` says in the container is about the container.
    pub(crate) fn new(memory: Option<u64>) -> Result<Self, Fault> {
        let mut tmpfs = Filesystem::plain("tmpfs").with("mode", "0755");
        if let Some(memory) = memory {
            tmpfs = tmpfs.with("size", (memory / 2).to_string());
        }
        let mount = tmpfs.mount(Attributes::NO_DEV)?;
        let host = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).of("/")?;
        attach(&mount, &host, "a tmpfs on /")?;
        fchdir(&mount).of("the tmpfs")?;
        Ok(Self { inside: Inside::new(mount) })
    }

    /// The directory `path` in it, made when it is missing.
    pub(crate) fn directory(&self, path: &str) -> Result<OwnedFd, Fault> {
        self.inside.directory(Path::new(path))
    }
}

impl AsFd for Stage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}
