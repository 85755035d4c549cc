//! Makes the mount point ready, and clears it at the end.
//!
//! A daemon that was killed leaves a dead mount behind ("Transport endpoint is
//! not connected"). It is detached, but only when its type says that it is ours:
//! nothing of anybody else's is ever unmounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::statfs::statfs;

use crate::daemon::Hint;
use crate::fuse::session::NAME;
use crate::host::mountinfo::MountTable;

/// The mount point cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MountPointError {
    /// Something other than a directory is there.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// There are files in it, which the mount would hide.
    #[error("{} is not empty; mounting would hide what is in it", .0.display())]
    NotEmpty(PathBuf),
    /// A daemon without a lock file serves it.
    #[error("{} is a live portholefs mount whose lock file is gone", .0.display())]
    Live(PathBuf),
    /// A mount of somebody else's answers with an error.
    #[error("{} is a dead mount of type {fs_type}, which is not portholefs's to detach", path.display())]
    Foreign {
        /// The mount point.
        path: PathBuf,
        /// Type in mountinfo.
        fs_type: String,
    },
    /// The system refused something else.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
}

impl Hint for MountPointError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotDirectory(_) | Self::NotEmpty(_) => {
                Some("portholefs serve /an/empty/directory".to_owned())
            }
            Self::Live(path) | Self::Foreign { path, .. } => {
                Some(format!("umount -l {}", path.display()))
            }
            Self::Io { .. } => None,
        }
    }
}

/// The absolute path of `path`, whose parent directories are made if they are
/// missing.
///
/// The last part is not looked at: a dead mount there answers with errors.
///
/// # Errors
///
/// [`MountPointError::Io`] when the parent cannot be made or found.
pub fn absolute(path: &Path) -> Result<PathBuf, MountPointError> {
    let path = std::path::absolute(path).map_err(failed("find", path))?;
    let Some(parent) = path.parent() else { return Err(MountPointError::NotEmpty(path)) };
    fs::create_dir_all(parent).map_err(failed("make the directory", parent))?;
    located(&path)
}

/// The absolute path of a mount point that somebody else serves; makes nothing. Where its
/// parent is not there nobody serves it, and the path is as good as it was given.
///
/// # Errors
///
/// [`MountPointError::Io`] when its parent cannot be looked at.
pub fn located(path: &Path) -> Result<PathBuf, MountPointError> {
    let path = std::path::absolute(path).map_err(failed("find", path))?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path);
    };
    match parent.canonicalize() {
        Ok(parent) => Ok(parent.join(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(failed("find", parent)(error)),
    }
}

/// Makes `path` an empty directory that can be mounted on: makes it when it is
/// missing, detaches what a dead daemon left there. Returns how many dead mounts
/// were detached. The caller holds the lock.
///
/// # Errors
///
/// Why the place cannot be used.
pub fn make_ready(path: &Path) -> Result<u32, MountPointError> {
    let mut detached = 0;
    loop {
        match fs_type_at(path)? {
            Some(fs_type) if is_ours(&fs_type) => {
                must_be_dead(path)?;
                detach(path)?;
                detached += 1;
            }
            Some(fs_type) if statfs(path).err() == Some(Errno::ENOTCONN) => {
                return Err(MountPointError::Foreign { path: path.to_owned(), fs_type });
            }
            _nothing_in_the_way => return make_directory(path).map(|()| detached),
        }
    }
}

/// Unmounts what is ours at `path`. Files that are still open keep the mount
/// alive, out of sight, until they are closed.
///
/// # Errors
///
/// [`MountPointError::Io`] when the kernel refuses.
pub fn clear(path: &Path) -> Result<(), MountPointError> {
    if fs_type_at(path)?.is_some_and(|fs_type| is_ours(&fs_type)) {
        detach(path)?;
    }
    Ok(())
}

/// The number of the file system of ours that is mounted at `path`, as the shared
/// memory notes it; `None` when there is none.
///
/// # Errors
///
/// [`MountPointError::Io`] when the mounts cannot be read.
pub fn device(path: &Path) -> Result<Option<u64>, MountPointError> {
    device_in(MOUNTINFO, path)
}

/// The same in the mount namespace that `mountinfo` tells of.
///
/// # Errors
///
/// [`MountPointError::Io`] when the mounts cannot be read.
pub fn device_in(mountinfo: &str, path: &Path) -> Result<Option<u64>, MountPointError> {
    let table = mounts(mountinfo)?;
    let mount = table.mounted_at(path).filter(|mount| is_ours(&mount.fs_type));
    Ok(mount.map(|mount| u64::from(mount.device.major) << 32 | u64::from(mount.device.minor)))
}

/// Asks the daemon behind a mount of ours for something that the kernel does not
/// remember, unlike the attributes of the mount's root.
fn must_be_dead(path: &Path) -> Result<(), MountPointError> {
    match statfs(path) {
        Ok(_sizes) => Err(MountPointError::Live(path.to_owned())),
        Err(_not_connected) => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), MountPointError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => must_be_empty(path),
        Ok(_other) => Err(MountPointError::NotDirectory(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(path).map_err(failed("make the directory", path))
        }
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn must_be_empty(path: &Path) -> Result<(), MountPointError> {
    match holds_something(path).map_err(failed("look into", path))? {
        true => Err(MountPointError::NotEmpty(path.to_owned())),
        false => Ok(()),
    }
}

/// Whether there is more than folders below `path`. An engine that is told to
/// mount a file while no daemon runs makes a folder in its place, and that must
/// not keep the daemon from ever starting again.
fn holds_something(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || holds_something(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn detach(path: &Path) -> Result<(), MountPointError> {
    umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
        .map_err(|errno| failed("unmount", path)(errno.into()))
}

fn fs_type_at(path: &Path) -> Result<Option<String>, MountPointError> {
    Ok(mounts(MOUNTINFO)?.mounted_at(path).map(|mount| mount.fs_type.clone()))
}

/// The mounts that this process sees.
const MOUNTINFO: &str = "/proc/self/mountinfo";

fn mounts(mountinfo: &str) -> Result<MountTable, MountPointError> {
    let mountinfo = fs::read_to_string(mountinfo).map_err(failed("read", Path::new(mountinfo)))?;
    Ok(MountTable::parse(&mountinfo))
}

fn is_ours(fs_type: &str) -> bool {
    fs_type.strip_prefix("fuse.") == Some(NAME)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MountPointError {
    move |source| MountPointError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::one_line;

    #[test]
    fn a_missing_mount_point_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = absolute(&directory.path().join("not/there/fs")).unwrap();
        assert_eq!(make_ready(&path).unwrap(), 0);
        assert!(path.is_dir());
    }

    #[test]
    fn a_mount_point_that_was_never_made_is_where_it_would_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("not/there/fs");
        assert_eq!(located(&path).unwrap(), path);
        assert!(!directory.path().join("not").exists());
    }

    #[test]
    fn a_file_or_a_full_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(
            one_line(&make_ready(&file).unwrap_err()),
            format!(
                "{} is not a directory (try: portholefs serve /an/empty/directory)",
                file.display()
            )
        );
        assert_eq!(
            one_line(&make_ready(directory.path()).unwrap_err()),
            format!(
                "{} is not empty; mounting would hide what is in it (try: portholefs serve /an/empty/directory)",
                directory.path().display()
            )
        );
    }

    #[test]
    fn folders_that_engines_made_for_missing_files_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("proc/meminfo")).unwrap();
        assert_eq!(make_ready(directory.path()).unwrap(), 0);
        fs::write(directory.path().join("proc/file"), "").unwrap();
        assert!(matches!(make_ready(directory.path()), Err(MountPointError::NotEmpty(_))));
    }

    #[test]
    fn only_our_own_type_is_ours() {
        assert!(is_ours("fuse.portholefs"));
        for fs_type in ["fuse", "fuse.lxcfs", "fuse.portholefs2", "portholefs", "tmpfs"] {
            assert!(!is_ours(fs_type), "{fs_type}");
        }
    }
}
