//! Making mounts, with errors that say what the file system complains about.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use crate::report::{Fault, Object};
use crate::sys::mount_api::{self, Attributes, FilesystemContext};

/// A file system to be made: its type and options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filesystem<'a> {
    /// As in `/proc/filesystems`.
    pub(crate) name: &'a str,
    /// As in `/proc/mounts`; a flag when the value is `None`.
    pub(crate) options: Vec<(&'a str, Option<String>)>,
}

impl<'a> Filesystem<'a> {
    /// One without options.
    pub(crate) fn plain(name: &'a str) -> Self {
        Self { name, options: Vec::new() }
    }

    /// The same, with the option `key=value`.
    pub(crate) fn with(mut self, key: &'a str, value: impl Into<String>) -> Self {
        self.options.push((key, Some(value.into())));
        self
    }

    /// The same, with the option `key`.
    pub(crate) fn with_flag(mut self, key: &'a str) -> Self {
        self.options.push((key, None));
        self
    }

    /// A mount of it that is attached nowhere yet.
    pub(crate) fn mount(&self, attributes: Attributes) -> Result<OwnedFd, Fault> {
        let context = FilesystemContext::open(&c_string(self.name)?).of(self.name)?;
        self.configure(&context).and_then(|()| context.mount(attributes)).map_err(|errno| {
            let reason = context.complaint().filter(|text| !text.is_empty());
            Fault::new(self.name, reason.unwrap_or_else(|| errno.desc().to_lowercase()))
        })
    }

    fn configure(&self, context: &FilesystemContext) -> nix::Result<()> {
        // The name that /proc/mounts shows first; there is no device.
        context.set(c"source", &CString::new(self.name).map_err(|_nul| Errno::EINVAL)?)?;
        for (key, value) in &self.options {
            let key = CString::new(*key).map_err(|_nul| Errno::EINVAL)?;
            match value {
                Some(value) => {
                    let value = CString::new(value.as_str()).map_err(|_nul| Errno::EINVAL)?;
                    context.set(&key, &value)?;
                }
                None => context.set_flag(&key)?,
            }
        }
        Ok(())
    }
}

fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|error| Fault::new(text, error))
}

/// Makes this process's mounts its own: nothing that is mounted from here on is
/// seen outside, and nothing that is mounted outside is seen here.
pub(crate) fn make_private() -> Result<(), Fault> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    match mount(None::<&str>, "/", None::<&str>, flags, None::<&str>) {
        Err(Errno::EINVAL) => Err(Fault::new("/", "it is not a mount point, as in a chroot")
            .with_hint("start porthole outside, or mount the chroot's directory on itself first")),
        done => done.of("the host's mounts as private"),
    }
}

/// Attaches `mount` on `target`, which is named `place` to people.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd, place: &str) -> Result<(), Fault> {
    mount_api::attach(mount, target).of(place)
}
