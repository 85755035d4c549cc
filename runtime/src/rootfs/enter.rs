//! Making the new root this process's `/`, and leaving the host's files behind.
//!
//! Source of truth: `pivot_root(2)`, with its note on `pivot_root(".", ".")`.

use std::fs;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, chroot, fchdir, pivot_root};

use super::inside::Inside;
use crate::report::{Fault, Note, Object};

/// Makes `root` the root of this mount namespace; nothing of the old one is left.
///
/// Where the host runs from its initramfs, which cannot be put aside, the new
/// root is moved over it instead, and that is what the note says.
pub(crate) fn enter(root: &Inside) -> Result<Option<Note>, Fault> {
    fchdir(root).of("/")?;
    let note = match pivot_root(".", ".") {
        Ok(()) => {
            // On top of ".", the new root, now lies the old one, and on that the
            // stage: the topmost goes first.
            umount2(".", MntFlags::MNT_DETACH).of("the stage, to leave it behind")?;
            umount2(".", MntFlags::MNT_DETACH).of("the host's files, to leave them behind")?;
            None
        }
        Err(Errno::EINVAL) => Some(move_over_initramfs()?),
        Err(errno) => return Err(errno).of("/"),
    };
    chdir("/").of("/")?;
    Ok(note)
}

/// Covers the initramfs with the working directory's mount.
fn move_over_initramfs() -> Result<Note, Fault> {
    let table = "/proc/self/mountinfo";
    let text = fs::read_to_string(table).of(table)?;
    if !root_is_initramfs(&text) {
        return Err(Fault::new("/", "pivot_root is refused here, as it is in a chroot")
            .with_hint("start porthole outside of the chroot"));
    }
    // Covered mounts could still be found by the kernel: one visible /proc
    // allows another, unmasked, in a user namespace.
    for mount_point in
        mount_points(&text).filter(|path| *path != "/").collect::<Vec<_>>().iter().rev()
    {
        // What cannot be reached by its path is below another that goes.
        let _covered = umount2(*mount_point, MntFlags::MNT_DETACH);
    }
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).of("/")?;
    chroot(".").of("/")?;
    Ok(Note::LeftOut("the host runs from its initramfs: chroot instead of pivot_root".to_owned()))
}

/// Whether the first mount on `/` is the initramfs.
fn root_is_initramfs(mountinfo: &str) -> bool {
    let on_root = |line: &&str| line.split(' ').nth(4) == Some("/");
    mountinfo
        .lines()
        .find(on_root)
        .and_then(|line| line.split_once(" - "))
        .is_some_and(|(_, filesystem)| filesystem.starts_with("rootfs "))
}

fn mount_points(mountinfo: &str) -> impl Iterator<Item = &str> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initramfs_is_told_from_a_disk() {
        let disk = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n";
        let initramfs = "1 1 0:2 / / rw - rootfs rootfs rw\n";
        assert!(!root_is_initramfs(disk));
        assert!(root_is_initramfs(initramfs));
    }
}
