//! Memory of a group: limit and usage at each level, and `memory.stat`.
//!
//! v1 counts memory and swap together (`memsw`), v2 apart. Here both mean the
//! same: swap alone. Nothing is decided; how the levels combine into what a
//! container sees is policy and lives in `view/` of procfs-fuse.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst`, "Memory
//! Interface Files"; `Documentation/admin-guide/cgroup-v1/memory.rst`.

use std::path::Path;
use std::sync::Arc;

use crate::format::FormatError;
use crate::group::{Group, OfLevels, Version};
use crate::interface::{InterfaceFile, ReadError};
use crate::limit::{self, Limit};
use crate::memory_stat::{self, MemoryStat};

/// Limit and usage of memory at one level of the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLevel {
    /// `memory.max` or `memory.limit_in_bytes`.
    pub limit: Limit,
    /// `memory.current` or `memory.usage_in_bytes`, in bytes.
    pub usage: u64,
    /// Swap at this level; `None` without swap accounting, and when not asked for.
    pub swap: Option<SwapLevel>,
}

/// Limit and usage of swap alone at one level.
///
/// v1 counts memory and swap together; its numbers arrive here already taken
/// apart, so that both versions mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapLevel {
    /// `memory.swap.max`; on v1 `memsw.limit - limit`.
    pub limit: Limit,
    /// `memory.swap.current`; on v1 `memsw.usage - usage`, in bytes.
    pub usage: u64,
}

/// The memory files of a group and its ancestors, kept open.
#[derive(Debug)]
pub struct MemoryFiles {
    version: Version,
    levels: Vec<LevelFiles>,
}

#[derive(Debug)]
struct LevelFiles {
    limit: InterfaceFile,
    usage: InterfaceFile,
    swap_limit: InterfaceFile,
    swap_usage: InterfaceFile,
    stat: InterfaceFile,
    kernel: InterfaceFile,
}

impl MemoryFiles {
    /// The files of `group`; they are opened when they are first read.
    pub fn new(group: &Group) -> Self {
        let version = group.version();
        let levels = group.levels();
        Self { version, levels: levels.iter().map(|dir| LevelFiles::new(version, dir)).collect() }
    }

    /// Limit and usage of the group itself, then of each ancestor below the root; those of
    /// swap too if `with_swap`, for as many reads again.
    ///
    /// A level without the memory controller (v2 may enable it for a part of the
    /// tree only) is left out: its memory is counted by the next level up.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first file that fails.
    pub fn levels(&self, with_swap: bool) -> Result<OfLevels<MemoryLevel>, ReadError> {
        let levels = self.levels.iter().map(|files| files.read(self.version, with_swap));
        levels.filter_map(Result::transpose).collect()
    }

    /// `memory.stat` of the group, or of its nearest ancestor with the memory
    /// controller; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it cannot be read or understood.
    pub fn stat(&self) -> Result<Option<MemoryStat>, ReadError> {
        let parse = match self.version {
            Version::V1 => memory_stat::parse_v1,
            Version::V2 => memory_stat::parse_v2,
        };
        for level in &self.levels {
            if let Some(stat) = level.stat.read_if_present(parse)? {
                return level.with_kernel_memory(stat).map(Some);
            }
        }
        Ok(None)
    }
}

impl LevelFiles {
    fn new(version: Version, dir: &Arc<Path>) -> Self {
        let [limit, usage, swap_limit, swap_usage] = match version {
            Version::V1 => [
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "memory.memsw.limit_in_bytes",
                "memory.memsw.usage_in_bytes",
            ],
            Version::V2 => {
                ["memory.max", "memory.current", "memory.swap.max", "memory.swap.current"]
            }
        }
        .map(|name| InterfaceFile::new(dir, name));
        let stat = InterfaceFile::new(dir, "memory.stat");
        let kernel = InterfaceFile::new(dir, "memory.kmem.usage_in_bytes");
        Self { limit, usage, swap_limit, swap_usage, stat, kernel }
    }

    /// v1 counts kernel memory as a whole, beside `memory.stat`. None of it is known
    /// to be reclaimable.
    fn with_kernel_memory(&self, stat: MemoryStat) -> Result<MemoryStat, ReadError> {
        if stat.slab_unreclaimable.is_some() {
            return Ok(stat);
        }
        let kernel = self.kernel.read_if_present(parse_bytes)?;
        let reclaimable = kernel.map(|_all_in_the_other| 0);
        Ok(MemoryStat { slab_reclaimable: reclaimable, slab_unreclaimable: kernel, ..stat })
    }

    fn read(&self, version: Version, with_swap: bool) -> Result<Option<MemoryLevel>, ReadError> {
        let parse_limit = match version {
            Version::V1 => limit::parse_v1,
            Version::V2 => limit::parse_v2,
        };
        let Some(limit) = self.limit.read_if_present(parse_limit)? else {
            return Ok(None);
        };
        let usage = self.usage.read(parse_bytes)?;
        let swap_limit =
            if with_swap { self.swap_limit.read_if_present(parse_limit)? } else { None };
        let Some(swap_limit) = swap_limit else {
            return Ok(Some(MemoryLevel { limit, usage, swap: None }));
        };
        let swap = SwapLevel { limit: swap_limit, usage: self.swap_usage.read(parse_bytes)? };
        let swap = match version {
            Version::V1 => without_memory(swap, limit, usage),
            Version::V2 => swap,
        };
        Ok(Some(MemoryLevel { limit, usage, swap: Some(swap) }))
    }
}

/// What is swap alone in v1's numbers of memory and swap together.
///
/// Both subtractions may saturate: the usages are read one after the other and
/// move in between, and the kernel lets the limits be set in either order.
fn without_memory(together: SwapLevel, memory_limit: Limit, memory_usage: u64) -> SwapLevel {
    let limit = match (together.limit, memory_limit) {
        (Limit::AtMost(both), Limit::AtMost(memory)) => Limit::AtMost(both.saturating_sub(memory)),
        (together, _) => together,
    };
    SwapLevel { limit, usage: together.usage.saturating_sub(memory_usage) }
}

fn parse_bytes(text: &str) -> Result<u64, FormatError> {
    text.trim_end().parse().map_err(|_not_a_number| FormatError::new("a number of bytes", text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn group_with(
        version: Version,
        path: &str,
        files: &[(&str, &str)],
    ) -> (tempfile::TempDir, Group) {
        let root = tempfile::tempdir().unwrap();
        let group = Group::new(version, root.path().to_owned(), path.to_owned());
        fs::create_dir_all(group.dir()).unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        (root, group)
    }

    #[track_caller]
    fn check(version: Version, path: &str, files: &[(&str, &str)], levels: &[MemoryLevel]) {
        let (_root, group) = group_with(version, path, files);
        let files = MemoryFiles::new(&group);
        assert_eq!(files.levels(true).unwrap().as_slice(), levels);
        let without: Vec<_> =
            levels.iter().map(|level| MemoryLevel { swap: None, ..*level }).collect();
        assert_eq!(files.levels(false).unwrap().as_slice(), without);
    }

    fn level(limit: Limit, usage: u64, swap: Option<(Limit, u64)>) -> MemoryLevel {
        let swap = swap.map(|(limit, usage)| SwapLevel { limit, usage });
        MemoryLevel { limit, usage, swap }
    }

    #[test]
    fn v2_levels_from_the_group_up() {
        let files = [
            ("a/memory.max", "209715200\n"),
            ("a/memory.current", "104857600\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.current", "1048576\n"),
            ("a/b/memory.swap.max", "max\n"),
            ("a/b/memory.swap.current", "4096\n"),
        ];
        check(
            Version::V2,
            "/a/b",
            &files,
            &[
                level(Limit::Unlimited, MIB, Some((Limit::Unlimited, 4096))),
                level(Limit::AtMost(200 * MIB), 100 * MIB, None),
            ],
        );
    }

    #[test]
    fn v2_level_without_the_controller_is_left_to_its_parent() {
        let files = [("a/memory.max", "max\n"), ("a/memory.current", "7\n")];
        check(Version::V2, "/a/b", &files, &[level(Limit::Unlimited, 7, None)]);
    }

    #[test]
    fn v1_swap_is_taken_apart() {
        let files = [
            ("a/memory.limit_in_bytes", "104857600\n"),
            ("a/memory.usage_in_bytes", "52428800\n"),
            ("a/memory.memsw.limit_in_bytes", "157286400\n"),
            ("a/memory.memsw.usage_in_bytes", "62914560\n"),
        ];
        let swap = Some((Limit::AtMost(50 * MIB), 10 * MIB));
        check(Version::V1, "/a", &files, &[level(Limit::AtMost(100 * MIB), 50 * MIB, swap)]);
    }

    #[test]
    fn v1_usages_read_one_after_the_other_do_not_wrap() {
        let files = [
            ("a/memory.limit_in_bytes", "104857600\n"),
            ("a/memory.usage_in_bytes", "52428800\n"),
            ("a/memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("a/memory.memsw.usage_in_bytes", "52428000\n"),
        ];
        let swap = Some((Limit::Unlimited, 0));
        check(Version::V1, "/a", &files, &[level(Limit::AtMost(100 * MIB), 50 * MIB, swap)]);
    }

    #[test]
    fn v1_without_swap_accounting() {
        let files = [
            ("a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("a/memory.usage_in_bytes", "5\n"),
        ];
        check(Version::V1, "/a", &files, &[level(Limit::Unlimited, 5, None)]);
    }

    #[test]
    fn the_root_has_no_levels() {
        check(Version::V2, "/", &[], &[]);
    }

    #[test]
    fn stat_comes_from_the_nearest_level_that_has_it() {
        let (_root, group) =
            group_with(Version::V2, "/a/b", &[("a/memory.stat", "anon 1\nfile 2\n")]);
        let stat = MemoryFiles::new(&group).stat().unwrap().unwrap();
        assert_eq!((stat.anon, stat.file, stat.shmem), (Some(1), Some(2), None));
    }

    #[test]
    fn kernel_memory_of_v1_is_not_reclaimable() {
        let files =
            [("a/memory.stat", "total_rss 1\n"), ("a/memory.kmem.usage_in_bytes", "4096\n")];
        for (count, expected) in [(1, (None, None)), (2, (Some(0), Some(4096)))] {
            let (_root, group) = group_with(Version::V1, "/a", &files[..count]);
            let stat = MemoryFiles::new(&group).stat().unwrap().unwrap();
            assert_eq!((stat.slab_reclaimable, stat.slab_unreclaimable), expected);
        }
    }

    #[test]
    fn a_removed_group_is_an_error_not_an_unlimited_one() {
        let (root, group) = group_with(Version::V2, "/a", &[]);
        fs::remove_dir(root.path().join("a")).unwrap();
        assert!(matches!(MemoryFiles::new(&group).levels(true), Err(ReadError::Gone { .. })));
    }
}
