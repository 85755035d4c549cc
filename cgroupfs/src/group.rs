//! One group of one hierarchy, on disk.
//!
//! A [`Group`] is plain data: where its hierarchy is mounted and its path below.
//! Limits hold for everything beneath them, so whoever reads one walks the
//! [`levels`](Group::levels): the group itself, then each ancestor below the root
//! (the root has no limits; it *is* the machine).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use smallvec::SmallVec;

/// What is told of a group, then of each ancestor. Hardly any is deeper than that, so that
/// telling it needs no allocator.
pub type OfLevels<T> = SmallVec<[T; 4]>;

/// The version of the cgroup interface that a hierarchy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A hierarchy for one or a few controllers.
    V1,
    /// The unified hierarchy.
    V2,
}

impl Version {
    /// The filesystem type under which such a hierarchy is mounted.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "cgroup",
            Self::V2 => "cgroup2",
        }
    }
}

/// A control group of one hierarchy. Copies share their texts, which are kept for each container
/// and controller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    version: Version,
    mount_point: Arc<Path>,
    path: Arc<str>,
}

impl Group {
    /// The group `path` (absolute: `/` is the hierarchy's root, or the topmost
    /// group that we can see) of the hierarchy mounted at `mount_point`.
    pub fn new(
        version: Version,
        mount_point: impl Into<Arc<Path>>,
        path: impl Into<Arc<str>>,
    ) -> Self {
        Self { version, mount_point: mount_point.into(), path: path.into() }
    }

    /// The version that its interface files follow.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path below the mount point: `/`, or `/a/b`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// True for the root, which has no limits.
    pub fn is_root(&self) -> bool {
        &*self.path == "/"
    }

    /// The same hierarchy's group `path`.
    #[must_use]
    pub fn at(self, path: impl Into<Arc<str>>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The directory with its interface files.
    pub fn dir(&self) -> PathBuf {
        self.mount_point.join(self.path.trim_start_matches('/'))
    }

    /// The directories of the group itself and of each ancestor below the root,
    /// in this order; none for the root.
    pub fn levels(&self) -> Vec<Arc<Path>> {
        let relative = Path::new(self.path.trim_start_matches('/'));
        relative
            .ancestors()
            .filter(|ancestor| !ancestor.as_os_str().is_empty())
            .map(|ancestor| self.mount_point.join(ancestor).into())
            .collect()
    }

    /// The directory of the hierarchy's root.
    pub fn root_dir(&self) -> &Path {
        &self.mount_point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, dir: &str, levels: &[&str]) {
        let group = Group::new(Version::V2, PathBuf::from("/cg"), path.to_owned());
        assert_eq!(group.dir(), Path::new(dir), "{path}");
        assert_eq!(
            group.levels(),
            levels.iter().map(|level| Path::new(level).into()).collect::<Vec<_>>(),
            "{path}"
        );
    }

    #[test]
    fn levels_go_from_the_group_to_below_the_root() {
        check("/a/b/c", "/cg/a/b/c", &["/cg/a/b/c", "/cg/a/b", "/cg/a"]);
        check("/a", "/cg/a", &["/cg/a"]);
    }

    #[test]
    fn the_root_has_no_level() {
        check("/", "/cg/", &[]);
    }
}
