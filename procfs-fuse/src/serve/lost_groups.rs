//! Groups whose ids are known and whose paths are not: those of files that were opened
//! before this process began.
//!
//! The kernel finds a group by its id at once, through a file handle. Where it does not
//! (before Linux 5.5, without CAP_DAC_READ_SEARCH, in a captured machine) the whole
//! hierarchy is walked, which with hundreds of groups takes milliseconds for each.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cgroupfs::controller::Controller;
use cgroupfs::group::{Group, Version};
use cgroupfs::layout::Layout;

use super::opening::GroupIds;
use crate::scope::Groups;
use crate::sys::file_handle::open_kernfs;

/// What the kernel says of an id in one hierarchy.
enum Told {
    /// The directory of the group.
    At(PathBuf),
    /// No group has it any more.
    Gone,
    /// It cannot be asked.
    Nothing,
}

/// The groups with these ids; `None` when one of them is gone.
pub(super) fn find(ids: &GroupIds, layout: &Layout) -> Option<Groups> {
    let found = ids.iter().map(|(controller, version, id)| {
        Some((controller, find_one(layout, controller, version, id)?))
    });
    found.collect()
}

fn find_one(layout: &Layout, controller: Controller, version: Version, id: u64) -> Option<Group> {
    // Each mount of a hierarchy knows all of its groups.
    let told = match layout.points(version, controller).next() {
        Some(point) => ask(point, id).unwrap_or(Told::Nothing),
        None => Told::Nothing,
    };
    match told {
        Told::At(dir) => layout
            .group_in(version, controller, &dir)
            .or_else(|| layout.search(version, controller, id)),
        Told::Gone => None,
        Told::Nothing => layout.search(version, controller, id),
    }
}

/// Asks the hierarchy that is mounted at `point`.
fn ask(point: &Path, id: u64) -> io::Result<Told> {
    let mount = File::open(point)?;
    match open_kernfs(mount.as_fd(), id) {
        Ok(group) => {
            fs::read_link(format!("/proc/thread-self/fd/{}", group.as_raw_fd())).map(Told::At)
        }
        // An older kernel says so of everything.
        Err(error) if error.raw_os_error() == Some(libc::ESTALE) => {
            let root = open_kernfs(mount.as_fd(), mount.metadata()?.ino());
            Ok(if root.is_ok() { Told::Gone } else { Told::Nothing })
        }
        Err(_refused) => Ok(Told::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of this machine that are looked for in each hierarchy: a walk for each.
    const MOST: usize = 20;

    #[test]
    fn the_kernel_and_a_walk_find_the_same() {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let layout = cgroupfs::layout::parse(&mountinfo, Path::new("/")).unwrap();
        for controller in Controller::ALL {
            for version in [Version::V1, Version::V2] {
                let ids = layout.ids(version, controller).into_iter();
                for id in ids.take(MOST) {
                    let found = find_one(&layout, controller, version, id);
                    // Others make and remove groups meanwhile.
                    if let Some(walked) = layout.search(version, controller, id) {
                        assert_eq!(found, Some(walked), "{controller:?} {version:?} {id}");
                    }
                }
                assert_eq!(find_one(&layout, controller, version, u64::MAX - 1), None);
            }
        }
    }
}
