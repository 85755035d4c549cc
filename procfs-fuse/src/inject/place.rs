//! A place in a container's mount namespace: found, checked, and changed.
//!
//! Everything here runs inside the namespace. A place is opened once, without
//! following any link, and from then on is a descriptor: what is checked is what
//! is changed, whatever the container does to the path meanwhile.
//!
//! The dead are replaced from beneath where the kernel can do that (6.5): the
//! live mount is put under the dead one before that is taken away, so a reader
//! sees an error until it sees its own numbers, and never the host's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::fchdir;
use rustix::mount::{MoveMountFlags, move_mount};

use crate::host::mountinfo::{Mount, MountId, MountTable};
use crate::inject::home::Home;
use crate::inject::plan::is_ours;

/// How dead mounts were replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The dead are gone.
    Swapped,
    /// The live mount lies on the dead one: the kernel is older than 6.5, or the
    /// mount is locked because a less privileged user namespace was given it.
    Stacked,
}

/// Opens what is seen at `target`; `None` when it is on none of the mounts
/// `expected`, because somebody has changed it since `table` was read.
///
/// # Errors
///
/// * `ENOENT`: there is no such file.
/// * `ELOOP`: a symbolic link is on the way.
/// * `EAGAIN`: see [`open`].
pub(crate) fn find(
    home: &Home,
    table: &MountTable,
    target: &Path,
    expected: &[MountId],
) -> io::Result<Option<OwnedFd>> {
    let place = open(table, target)?;
    let found = expected.contains(&home.mount_id(&place)?);
    Ok(found.then_some(place))
}

/// Opens the last of the mounts `dead` that lie on each other at `target`, having
/// taken away those above it; one of those when it is locked.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn uncover_last(
    home: &Home,
    table: &MountTable,
    target: &Path,
    dead: &[MountId],
) -> io::Result<Option<OwnedFd>> {
    for _above in dead.iter().skip(1) {
        let Some(seen) = find(home, table, target, dead)? else { return Ok(None) };
        if detach(home, &seen).is_err() {
            return Ok(Some(seen));
        }
    }
    find(home, table, target, dead)
}

/// Takes away the mount `dead` that is seen at `target`; false when it is locked or
/// no longer seen.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn take_off(
    home: &Home,
    table: &MountTable,
    target: &Path,
    dead: MountId,
) -> io::Result<bool> {
    let seen = find(home, table, target, &[dead])?;
    Ok(seen.is_some_and(|seen| detach(home, &seen).is_ok()))
}

/// Opens `target` without following a link and without waiting for anybody.
///
/// # Errors
///
/// `EAGAIN`: the way leads through a file system that somebody else answers for
/// (FUSE, a network), and who may never do so.
pub(crate) fn open(table: &MountTable, target: &Path) -> nix::Result<OwnedFd> {
    match open_unasking(AT_FDCWD, target) {
        // The kernel looks again itself at what lies in /proc and /sys.
        Err(Errno::EAGAIN) => match kernels_part(table, target).ok_or(Errno::EAGAIN)? {
            (None, target) => open_with(AT_FDCWD, target, ResolveFlag::empty()),
            (Some(base), rest) => {
                let base = open_unasking(AT_FDCWD, base)?;
                open_with(base.as_fd(), rest, ResolveFlag::empty())
            }
        },
        opened => opened,
    }
}

/// Opens `target` if the kernel remembers all that is on the way, as it does of what
/// something is mounted on.
fn open_unasking(from: BorrowedFd<'_>, target: &Path) -> nix::Result<OwnedFd> {
    match open_with(from, target, ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED)) {
        // Before Linux 5.12 there is no such flag.
        Err(Errno::EINVAL) => Err(Errno::EAGAIN),
        opened => opened,
    }
}

fn open_with(from: BorrowedFd<'_>, target: &Path, more: ResolveFlag) -> nix::Result<OwnedFd> {
    let no_links = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(no_links | more);
    openat2(from, target, how)
}

/// The part of the way to `target` on which no other program or machine is asked: the
/// mount where it begins, unless it is the whole way, and the path from there. The mounts
/// of ours that lie on each other at its end are not looked into.
fn kernels_part<'a>(
    table: &'a MountTable,
    target: &'a Path,
) -> Option<(Option<&'a Path>, &'a Path)> {
    let mut way = table.way_to(target);
    while way.pop_if(|mount| is_ours(mount) && mount.point == target).is_some() {}
    match way.iter().rposition(|mount| asks_somebody(mount)) {
        None => Some((None, target)),
        Some(last) => {
            let base = &way.get(last + 1)?.point;
            Some((Some(base), target.strip_prefix(base).ok()?))
        }
    }
}

/// True when looking something up in `mount` may need an answer from another program or
/// machine.
fn asks_somebody(mount: &Mount) -> bool {
    const SOMEBODY: [&str; 9] =
        ["9p", "afs", "autofs", "ceph", "cifs", "fuse", "nfs", "smb", "virtiofs"];
    SOMEBODY.iter().any(|name| mount.fs_type.starts_with(name))
}

/// Attaches `live` on top of `place`.
///
/// # Errors
///
/// Whatever the kernel says.
pub(crate) fn attach(home: &Home, live: &OwnedFd, place: &OwnedFd) -> io::Result<()> {
    move_to(live, place, MoveMountFlags::empty())?;
    make_private(home, live)
}

/// Puts `live` in the place of the dead mount whose root is `dead`.
///
/// # Errors
///
/// Whatever the kernel says; the dead mount is seen as before then.
pub(crate) fn replace(home: &Home, live: &OwnedFd, dead: &OwnedFd) -> io::Result<Replaced> {
    match move_to(live, dead, MoveMountFlags::MOVE_MOUNT_BENEATH) {
        Ok(()) => {
            make_private(home, live)?;
            detach(home, dead)?;
            Ok(Replaced::Swapped)
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            attach(home, live, dead)?;
            Ok(Replaced::Stacked)
        }
        Err(error) => Err(error),
    }
}

/// Unmounts the mount whose root is `place`. Files of it that are open stay so.
///
/// # Errors
///
/// `EINVAL`: it is locked.
pub(crate) fn detach(home: &Home, place: &OwnedFd) -> io::Result<()> {
    by_number(home, place, |name| umount2(name, MntFlags::MNT_DETACH))
}

fn move_to(mount: &OwnedFd, place: &OwnedFd, flags: MoveMountFlags) -> io::Result<()> {
    let itself = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", place, "", itself | flags)?)
}

/// Nothing that happens to this mount shall happen to the daemon's, nor the
/// other way round.
fn make_private(home: &Home, attached: &OwnedFd) -> io::Result<()> {
    let none = None::<&str>;
    by_number(home, attached, |name| mount(none, name, none, MsFlags::MS_PRIVATE, none))
}

/// Calls `work` with a path that means exactly `file`.
fn by_number(
    home: &Home,
    file: &OwnedFd,
    work: impl FnOnce(&str) -> nix::Result<()>,
) -> io::Result<()> {
    fchdir(home.open_files()?)?;
    Ok(work(&file.as_raw_fd().to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks from where on nobody is asked on the way to `target`, in a container whose
    /// root is of the type `root`.
    #[track_caller]
    fn check(root: &str, target: &str, expected: Option<(Option<&str>, &str)>) {
        let table = MountTable::parse(&format!(
            "\
60 28 0:50 / / rw - {root} none rw
61 60 0:60 / /proc rw - proc proc rw
70 61 0:51 /proc/meminfo /proc/meminfo ro - fuse.portholefs portholefs ro
71 60 0:51 /proc/stat /srv/stat ro - fuse.portholefs portholefs ro
80 61 0:51 /proc/uptime /proc/uptime ro - fuse.portholefs portholefs ro
81 80 0:52 /proc/uptime /proc/uptime ro - fuse.portholefs portholefs ro
"
        ));
        let expected = expected.map(|(base, rest)| (base.map(Path::new), Path::new(rest)));
        assert_eq!(kernels_part(&table, Path::new(target)), expected, "{root} {target}");
    }

    #[test]
    fn nobody_is_asked_where_the_kernel_answers_itself() {
        check("overlay", "/proc/meminfo", Some((None, "/proc/meminfo")));
        check("overlay", "/srv/stat", Some((None, "/srv/stat")));
        check("fuse.fuse-overlayfs", "/proc/meminfo", Some((Some("/proc"), "meminfo")));
        check("nfs4", "/proc/meminfo", Some((Some("/proc"), "meminfo")));
        check("overlay", "/proc/uptime", Some((None, "/proc/uptime")));
        check("nfs4", "/proc/uptime", Some((Some("/proc"), "uptime")));
        check("fuse.fuse-overlayfs", "/srv/stat", None);
    }
}
