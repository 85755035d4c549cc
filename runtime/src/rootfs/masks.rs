//! What a container may not see, or not change, of the kernel's files.
//!
//! Mounted last, over the view: where a mask and the view speak of the same
//! file, the mask wins.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::devices::Devices;
use super::inside::is_directory;
use super::kernel_files::KernelFiles;
use super::mounting::{Filesystem, attach};
use crate::plan::Security;
use crate::report::{Fault, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes, copy_mount};

/// Masks what `security` masks and protects what it protects.
pub(crate) fn mount(
    kernel: &KernelFiles,
    devices: &Devices,
    security: &Security,
) -> Result<(), Fault> {
    // The node that we made: never looked up in the image, where it could be a
    // link to anything (CVE-2025-31133).
    let null = devices.dev.place(Path::new("null")).of("/dev/null")?;
    for pattern in &security.masked_paths {
        for path in expand(kernel, pattern)? {
            if let Some(place) = if_there(kernel, &path)? {
                cover(&null, &place, &path)?;
            }
        }
    }
    for path in &security.read_only_paths {
        if let Some(place) = if_there(kernel, path)? {
            let copy = copy_mount(place.as_fd(), "", Depth::Recursive).of(path.display())?;
            attach(&copy, &place, &path.to_string_lossy())?;
            add_attributes(copy.as_fd(), Attributes::READ_ONLY, Depth::Recursive)
                .of(path.display())?;
        }
    }
    Ok(())
}

/// Covers a file with `null`, a directory with an empty one.
fn cover(null: &OwnedFd, place: &OwnedFd, path: &Path) -> Result<(), Fault> {
    let mask = if is_directory(place.as_fd()).of(path.display())? {
        // One for each: before Linux 6.15 a mount that is attached nowhere
        // cannot be copied.
        let attributes =
            Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        Filesystem::plain("tmpfs").with("size", "0").with("nr_inodes", "1").mount(attributes)?
    } else {
        copy_mount(null.as_fd(), "", Depth::One).of(path.display())?
    };
    attach(&mask, place, &path.to_string_lossy())
}

fn if_there(kernel: &KernelFiles, path: &Path) -> Result<Option<OwnedFd>, Fault> {
    match kernel.place(path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno).of(path.display()),
    }
}

/// The paths that `pattern` stands for: a component that ends in `*` is every
/// entry that begins like it.
fn expand(kernel: &KernelFiles, pattern: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.components() {
        let Some(prefix) = wildcard(part) else {
            paths.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let mut matching = Vec::new();
        for path in paths {
            let names = names(kernel, &path).of(path.display())?;
            let names = names.iter().filter(|name| name.as_bytes().starts_with(prefix));
            matching.extend(names.map(|name| path.join(name)));
        }
        paths = matching;
    }
    Ok(paths)
}

/// What a component begins with that ends in `*`.
fn wildcard(part: Component<'_>) -> Option<&[u8]> {
    match part {
        Component::Normal(name) => name.as_bytes().strip_suffix(b"*"),
        _ => None,
    }
}

/// The names in the directory `path`; none when it is not there.
fn names(kernel: &KernelFiles, path: &Path) -> nix::Result<Vec<std::ffi::OsString>> {
    let place = match kernel.place(path) {
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        place => place?,
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::from_fd(openat(&place, ".", flags, Mode::empty())?)?;
    let entries = directory.iter().collect::<nix::Result<Vec<_>>>()?;
    let name = |entry: &nix::dir::Entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
    Ok(entries.iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_last_star_is_a_wildcard() {
        let prefix = |name: &'static str| wildcard(Component::Normal(OsStr::new(name)));
        assert_eq!(prefix("cpu*"), Some(&b"cpu"[..]));
        assert_eq!(prefix("cpu"), None);
        assert_eq!(prefix("c*pu"), None);
    }
}
