//! Whose a mount of ours is: this daemon's to heal, or another's to leave alone.
//!
//! Each names in its source the place where its daemon has the shared tree, so it can be
//! told whose it is when nobody answers for it any more. It is another daemon's in two
//! cases: that one holds its lock, so it serves or is starting; or its tree is mounted
//! where it has its lock file, so it comes back. There is no moment between the two:
//! who starts takes the lock before it takes the dead tree away. Hence the mounts are
//! read first, and locks are asked for afterwards.
//!
//! What this module does not do: find out whether a mount is dead (`probe`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::config::lock_file;
use crate::host::mountinfo::{Device, Mount, MountTable};
use crate::inject::place;
use crate::inject::plan::{is_ours, owner};

/// What is known of all daemons of this machine. Asked at home only: it goes by paths
/// of the host.
#[derive(Debug)]
pub(crate) struct Owners {
    /// The mounts of the host.
    table: MountTable,
    /// Where this daemon's tree is mounted.
    mount_point: PathBuf,
    /// This daemon's file system.
    live: Device,
    /// Trees that are mounted where a daemon has its lock file, this one's too.
    trees: HashSet<Device>,
    /// Whether somebody holds the lock of a mount point, for those that were asked for.
    locked: RefCell<HashMap<PathBuf, bool>>,
}

impl Owners {
    /// Those of the host, whose mounts are `table`; `None` when no tree of ours is
    /// mounted at `mount_point`.
    pub(crate) fn of(table: MountTable, mount_point: &Path) -> Option<Self> {
        let live = table.mounted_at(mount_point).filter(|mount| is_ours(mount))?.device;
        let trees = trees(&table);
        let mount_point = mount_point.to_owned();
        Some(Self { table, mount_point, live, trees, locked: RefCell::default() })
    }

    /// This daemon's file system.
    pub(crate) fn live(&self) -> Device {
        self.live
    }

    /// True for a mount of a daemon that is there, or comes back: dead or alive, it is
    /// no business of ours.
    pub(crate) fn have(&self, mount: &Mount) -> bool {
        let is_anothers =
            |owner: &Path| owner != self.mount_point && self.is_locked(owner.to_owned());
        mount.device == self.live
            || self.trees.contains(&mount.device)
            || owner(mount).is_some_and(is_anothers)
    }

    fn is_locked(&self, mount_point: PathBuf) -> bool {
        let ask = |mount_point: &PathBuf| {
            // Not there, or where looking may take for ever: nobody's.
            is_held(&self.table, &lock_file(mount_point)).unwrap_or(false)
        };
        *self.locked.borrow_mut().entry(mount_point).or_insert_with_key(ask)
    }
}

/// File systems whose whole tree is mounted where a daemon has its lock file; a
/// tree that somebody has bound elsewhere has none there.
fn trees(table: &MountTable) -> HashSet<Device> {
    let whole =
        table.mounts().iter().filter(|mount| is_ours(mount) && mount.root == Path::new("/"));
    whole.filter(|mount| lock_file(&mount.point).exists()).map(|mount| mount.device).collect()
}

/// Whether somebody has locked the file `path`. A container may have made up the path,
/// so nothing is opened that answers late or is more than a file.
fn is_held(table: &MountTable, path: &Path) -> nix::Result<bool> {
    let found = place::open(table, path)?;
    let kind = SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG {
        return Ok(false);
    }
    let path = format!("/proc/thread-self/fd/{}", found.as_raw_fd());
    let file = File::from(open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?);
    // Shared for a moment: that keeps no daemon from starting.
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_nobodys) => Ok(false),
        Err((_file, errno)) => Ok(errno == Errno::EWOULDBLOCK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mount_source;

    /// A host with a daemon at `/a/fs`, and `folder` for those whose tree is not mounted.
    fn owners() -> Owners {
        let table = "\
20 1 8:1 / / rw - ext4 /dev/vda rw
30 20 0:51 / /a/fs ro - fuse.portholefs portholefs:/a/fs ro
";
        Owners::of(MountTable::parse(table), Path::new("/a/fs")).unwrap()
    }

    /// Checks whether a dead file of the daemon at `mount_point` is left to it.
    #[track_caller]
    fn check(mount_point: &Path, is_left: bool) {
        let source = mount_source(mount_point);
        let line = format!("70 61 0:60 /proc/stat /proc/stat ro - fuse.portholefs {source} ro\n");
        let table = MountTable::parse(&line);
        assert_eq!(owners().have(table.mount(70).unwrap()), is_left, "{line}");
    }

    #[test]
    fn a_file_is_left_to_the_daemon_that_holds_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let mount_point = folder.path().join("fs");
        check(&mount_point, false);
        let lock = File::create(lock_file(&mount_point)).unwrap();
        check(&mount_point, false);
        let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        check(&mount_point, true);
        drop(lock);
        check(&mount_point, false);
    }

    #[test]
    fn what_lay_at_the_same_place_is_this_daemons_own() {
        check(Path::new("/a/fs"), false);
    }

    #[test]
    fn a_lock_that_is_no_file_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let mount_point = folder.path().join("fs");
        nix::unistd::mkfifo(&lock_file(&mount_point), Mode::S_IRWXU).unwrap();
        check(&mount_point, false);
    }
}
