//! Where the hierarchies are mounted: `/proc/self/mountinfo`.
//!
//! v1 has a hierarchy per controller (or for several, `cpu,cpuacct`, or for none
//! but a name), v2 has one for all; *hybrid* is both side by side. This module
//! turns a path from `/proc/PID/cgroup` into a directory, whichever it is.
//!
//! Both files name groups relative to the root of the reader's cgroup namespace:
//! a mount whose own root is `/../..` shows the tree from two levels above it.
//!
//! What this module does not do: decide which version serves a controller; the
//! membership of each process says that, at the moment it is read.
//!
//! Kernel source of truth: `show_mountinfo()` in fs/proc_namespace.c and
//! `cgroup_show_path()` in kernel/cgroup/cgroup.c.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::controller::Controller;
use crate::format::FormatError;
use crate::group::{Group, Version};
use crate::membership::{Membership, Place};

/// The mounted hierarchies of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    mounts: Vec<Mount>,
}

/// One mount of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    point: Arc<Path>,
    /// Which group of the hierarchy is seen at the mount point; other than `/`
    /// for a bind mount of a part, `/..` and so on for one from outside.
    root: String,
    version: Version,
    /// v1: those that it serves.
    controllers: Vec<Controller>,
}

/// A group that cannot be found on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No mount shows the hierarchy.
    #[error("no {} hierarchy with the {} controller is mounted", version.name(), controller.v1_name())]
    NotMounted {
        /// The controller asked for.
        controller: Controller,
        /// The version that serves it.
        version: Version,
    },
    /// The hierarchy is mounted, but not the part of it where the group is.
    #[error("cgroup {path} of the {} controller is outside of every mounted part of its hierarchy", controller.v1_name())]
    NotVisible {
        /// The controller asked for.
        controller: Controller,
        /// The group, as the membership names it.
        path: String,
    },
}

impl PlaceError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotMounted { .. } => "mount the host's /sys/fs/cgroup here",
            Self::NotVisible { .. } => {
                "run in the host's cgroup namespace, or mount the whole of the host's /sys/fs/cgroup here"
            }
        }
    }
}

impl Layout {
    /// The group that `membership` names for `controller`; `None` when no
    /// hierarchy of the kernel serves the controller.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] when the group has no directory that we can see.
    pub fn group(
        &self,
        membership: &Membership,
        controller: Controller,
    ) -> Result<Option<Group>, PlaceError> {
        let (version, path) = match membership.place(controller) {
            None => return Ok(None),
            Some(Place::V1(path)) => (Version::V1, path),
            Some(Place::V2(path)) => (Version::V2, path),
        };
        let mut mounts = self.mounts.iter().filter(|mount| mount.shows(version, controller));
        let Some(first) = mounts.next() else {
            return Err(PlaceError::NotMounted { controller, version });
        };
        deepest(std::iter::once(first).chain(mounts), path)
            .map(Some)
            .ok_or_else(|| PlaceError::NotVisible { controller, path: path.to_owned() })
    }
}

impl Layout {
    /// The group that `membership` names in the cgroup2 tree, which a machine may have
    /// beside v1 hierarchies with all of the controllers; `None` where it has none, or
    /// none that we can see.
    pub fn unified_group(&self, membership: &Membership) -> Option<Group> {
        let mounts = self.mounts.iter().filter(|mount| mount.version == Version::V2);
        deepest(mounts, membership.unified()?)
    }

    /// The group with the id `id` (its inode number) in the hierarchy that serves
    /// `controller` in this version; `None` when it is gone.
    ///
    /// Walks the hierarchy: for who has an id and has lost the path.
    pub fn search(&self, version: Version, controller: Controller, id: u64) -> Option<Group> {
        let has_it = |found: &(u64, PathBuf)| found.0 == id;
        let (_id, dir) =
            self.points(version, controller).find_map(|point| groups_below(point).find(has_it))?;
        self.group_in(version, controller, &dir)
    }

    /// Where the hierarchy that serves `controller` in this version is mounted.
    pub fn points(&self, version: Version, controller: Controller) -> impl Iterator<Item = &Path> {
        let mounts = self.mounts.iter().filter(move |mount| mount.shows(version, controller));
        mounts.map(|mount| &*mount.point)
    }

    /// The group whose directory is `dir` in that hierarchy; `None` when it is in none of
    /// its mounts.
    pub fn group_in(&self, version: Version, controller: Controller, dir: &Path) -> Option<Group> {
        self.points(version, controller).find_map(|point| {
            let path = format!("/{}", dir.strip_prefix(point).ok()?.display());
            Some(Group::new(version, point, path))
        })
    }

    /// The ids of all groups but the root in the hierarchy that serves `controller` in
    /// this version.
    pub fn ids(&self, version: Version, controller: Controller) -> HashSet<u64> {
        let mounts = self.mounts.iter().filter(|mount| mount.shows(version, controller));
        mounts.flat_map(|mount| groups_below(&mount.point)).map(|(id, _path)| id).collect()
    }
}

/// The group at `path` of the hierarchy that `mounts` show. Of several mounts the one
/// that shows most: it has the ancestors.
fn deepest<'a>(mounts: impl Iterator<Item = &'a Mount>, path: &'a str) -> Option<Group> {
    let shown = mounts.filter_map(|mount| Some((mount, below(path, &mount.root)?)));
    let (mount, path) = shown.max_by_key(|(_mount, path)| path.len())?;
    Some(Group::new(mount.version, Arc::clone(&mount.point), path))
}

/// The directories beneath `point`, each with its inode number.
fn groups_below(point: &Path) -> impl Iterator<Item = (u64, PathBuf)> {
    let children = |dir: &Path| {
        // A group that was removed meanwhile has nothing beneath it.
        let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.map(|entry| (entry.ino(), entry.path())).collect::<Vec<_>>()
    };
    let mut unseen = children(point);
    std::iter::from_fn(move || {
        let next = unseen.pop()?;
        unseen.extend(children(&next.1));
        Some(next)
    })
}

impl Mount {
    fn shows(&self, version: Version, controller: Controller) -> bool {
        self.version == version
            && (version == Version::V2 || self.controllers.contains(&controller))
    }
}

/// Parses `/proc/self/mountinfo`; mount points are taken below `machine`, which
/// is `/` or the directory that holds a captured machine.
///
/// # Errors
///
/// [`FormatError`] with the line that has too few fields.
pub fn parse(mountinfo: &str, machine: &Path) -> Result<Layout, FormatError> {
    let mut mounts = Vec::new();
    for line in mountinfo.lines() {
        mounts.extend(parse_mount(line, machine)?);
    }
    Ok(Layout { mounts })
}

/// One line: `id parent dev root point options [tags...] - type source superoptions`.
fn parse_mount(line: &str, machine: &Path) -> Result<Option<Mount>, FormatError> {
    let malformed = || FormatError::new("a line of mountinfo", line);
    let (mount, filesystem) = line.split_once(" - ").ok_or_else(malformed)?;
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next() {
        Some("cgroup") => Version::V1,
        Some("cgroup2") => Version::V2,
        _ => return Ok(None),
    };
    let options = filesystem.nth(1).ok_or_else(malformed)?;
    let mut mount = mount.split(' ').skip(3);
    let (Some(root), Some(point)) = (mount.next(), mount.next()) else {
        return Err(malformed());
    };
    let point = unescape(point);
    Ok(Some(Mount {
        point: machine.join(point.trim_start_matches('/')).into(),
        root: unescape(root),
        version,
        controllers: Controller::ALL
            .into_iter()
            .filter(|controller| options.split(',').any(|option| option == controller.v1_name()))
            .collect(),
    }))
}

/// Undoes the octal escapes (`\040`) by which mountinfo keeps its fields apart.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => text.push(char::from(code)),
            None => text.push('\\'),
        }
        rest = if code.is_some() { after.get(3..).unwrap_or("") } else { after };
    }
    text + rest
}

/// The path of the group `path` as seen from the group `root`; `None` when it is
/// not below it. Both are relative to the same cgroup namespace root.
fn below(path: &str, root: &str) -> Option<String> {
    let (path_up, path_down) = split_way_up(path);
    let (root_up, root_down) = split_way_up(root);
    // Other heights would need the names of the groups between.
    if path_up != root_up {
        return None;
    }
    let rest = path_down.strip_prefix(root_down)?;
    match rest {
        "" => Some("/".to_owned()),
        rest if root_down.is_empty() || rest.starts_with('/') => {
            Some(format!("/{}", rest.trim_start_matches('/')))
        }
        _ => None,
    }
}

/// Splits `/../../a/b` into the number of steps up and `a/b`.
fn split_way_up(path: &str) -> (usize, &str) {
    let mut steps = 0;
    let mut rest = path.trim_start_matches('/');
    while let Some(after) = rest.strip_prefix("..") {
        if !after.is_empty() && !after.starts_with('/') {
            break;
        }
        steps += 1;
        rest = after.trim_start_matches('/');
    }
    (steps, rest.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    const MEMBER: &str = "5:cpu,cpuacct:/a/b\n4:memory:/a/b\n1:name=systemd:/x\n0::/u\n";

    fn find(
        mountinfo: &str,
        membership: &str,
        controller: Controller,
    ) -> Result<Option<PathBuf>, PlaceError> {
        let layout = parse(mountinfo, Path::new("/")).unwrap();
        let membership = membership::parse(membership).unwrap();
        layout.group(&membership, controller).map(|group| group.map(|group| group.dir()))
    }

    #[track_caller]
    fn check(mountinfo: &str, membership: &str, controller: Controller, dir: &str) {
        assert_eq!(find(mountinfo, membership, controller), Ok(Some(PathBuf::from(dir))));
    }

    #[test]
    fn each_v1_controller_is_found_at_its_own_mount() {
        check(HYBRID, MEMBER, Controller::Memory, "/sys/fs/cgroup/memory/a/b");
        check(HYBRID, MEMBER, Controller::Cpu, "/sys/fs/cgroup/cpu,cpuacct/a/b");
        check(HYBRID, MEMBER, Controller::Cpuacct, "/sys/fs/cgroup/cpu,cpuacct/a/b");
    }

    #[test]
    fn hybrid_leaves_the_other_controllers_to_cgroup2() {
        check(HYBRID, MEMBER, Controller::Pids, "/sys/fs/cgroup/unified/u");
    }

    #[test]
    fn pure_v2_has_one_mount_for_all() {
        let mountinfo = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        for controller in Controller::ALL {
            check(mountinfo, "0::/system.slice/x\n", controller, "/sys/fs/cgroup/system.slice/x");
        }
    }

    #[test]
    fn a_bind_mounted_part_shows_only_what_is_below_it() {
        let part = "50 31 0:32 /docker/abc /mem rw - cgroup cgroup rw,memory\n";
        check(part, "4:memory:/docker/abc/sub\n", Controller::Memory, "/mem/sub");
        check(part, "4:memory:/docker/abc\n", Controller::Memory, "/mem/");
        let error = find(part, "4:memory:/docker/abcd\n", Controller::Memory).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cgroup /docker/abcd of the memory controller is outside of every mounted part of its \
             hierarchy"
        );
    }

    #[test]
    fn of_several_mounts_the_one_with_the_ancestors_is_taken() {
        let both = "50 31 0:32 /a /part rw - cgroup cgroup rw,memory\n\
                    51 31 0:32 / /whole rw - cgroup cgroup rw,memory\n";
        check(both, MEMBER, Controller::Memory, "/whole/a/b");
    }

    #[test]
    fn from_another_cgroup_namespace_both_sides_go_up() {
        let host_tree = "50 31 0:26 /../.. /host/cgroup rw - cgroup2 cgroup rw\n";
        check(
            host_tree,
            "0::/../../kubepods/pod1\n",
            Controller::Memory,
            "/host/cgroup/kubepods/pod1",
        );
        let error = find(host_tree, "0::/..\n", Controller::Memory).unwrap_err();
        assert!(matches!(error, PlaceError::NotVisible { .. }));
        assert!(error.hint().starts_with("run in the host's cgroup namespace"));
    }

    #[test]
    fn a_name_that_begins_with_dots_is_a_name() {
        check(HYBRID, "4:memory:/..a/b\n", Controller::Memory, "/sys/fs/cgroup/memory/..a/b");
    }

    #[test]
    fn mount_points_are_unescaped_and_taken_below_the_machine() {
        let layout = parse(
            "50 31 0:26 / /my\\040groups\\134 rw - cgroup2 cgroup rw\n",
            Path::new("/captured"),
        )
        .unwrap();
        let membership = membership::parse("0::/x\n").unwrap();
        let group = layout.group(&membership, Controller::Memory).unwrap().unwrap();
        assert_eq!(group.dir(), Path::new("/captured/my groups\\/x"));
    }

    #[test]
    fn without_a_mount_the_error_says_which() {
        let error = find("", "4:memory:/a\n", Controller::Memory).unwrap_err();
        assert_eq!(error.to_string(), "no cgroup hierarchy with the memory controller is mounted");
        assert_eq!(find("", "4:memory:/a\n", Controller::Pids), Ok(None));
    }
}
