//! `-v SOURCE:TARGET[:ro]`: a directory or file of the host, mounted inside.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs,
};

use super::inside::{Inside, is_directory};
use super::mounting::attach;
use crate::plan::Volume;
use crate::report::{Fault, Object};
use crate::sys::mount_api::{Attributes, Depth, add_attributes};

/// File systems whose files programs trust to be the kernel's.
const KERNEL_FILESYSTEMS: [FsType; 4] =
    [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];

/// Mounts `source`, opened before, where `volume` says.
///
/// The target is looked up when it is this volume's turn: it may lie in a volume
/// that was mounted before it.
pub(crate) fn mount(root: &Inside, volume: &Volume, source: &OwnedFd) -> Result<(), Fault> {
    let path = cleaned(&volume.target);
    let place = path.display();
    if path == Path::new("/") {
        return Err(Fault::new(place, "it would cover the whole root file system")
            .with_hint("name a directory below /, or use --rootfs"));
    }
    let target = match is_directory(source.as_fd()).of(&place)? {
        true => root.directory(&path)?,
        false => root.file(&path)?,
    };
    let filesystem = fstatfs(&target).of(&place)?.filesystem_type();
    if KERNEL_FILESYSTEMS.contains(&filesystem) {
        return Err(Fault::new(place, "volumes may not cover the kernel's own files")
            .with_hint("porthole mounts the files of its daemon there by itself"));
    }
    attach(source, &target, &place.to_string())?;
    if volume.read_only {
        add_attributes(source.as_fd(), Attributes::READ_ONLY, Depth::Recursive).of(place)?;
    }
    Ok(())
}

/// `path` without `.` and `..`, as docker reads targets.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_cleaned_before_they_are_looked_up() {
        for (path, clean) in
            [("/data", "/data"), ("/a/./b/../c", "/a/c"), ("/../..", "/"), ("data", "/data")]
        {
            assert_eq!(cleaned(Path::new(path)), Path::new(clean), "target {path}");
        }
    }
}
