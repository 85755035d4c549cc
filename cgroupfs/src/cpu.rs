//! CPU files of a group: bandwidth at each level, the effective cpuset, time used.
//!
//! On v1 they are files of three controllers that may be mounted apart, and a
//! process may be in a different group of each; on v2 they are in one directory.
//!
//! What this module does not do: decide how many CPUs a container sees. That is
//! policy and lives in `procfs-fuse/src/view/cpu.rs`.

use std::path::Path;
use std::sync::Arc;

use crate::bandwidth::{Bandwidth, parse_cfs_period, parse_cfs_quota, parse_cpu_max};
use crate::cpu_list::{self, CpuList};
use crate::cpu_usage::{self, CpuUsage};
use crate::group::{Group, OfLevels, Version};
use crate::interface::{InterfaceFile, ReadError};

/// The bandwidth files of a group of the cpu controller and of its ancestors.
#[derive(Debug)]
pub struct BandwidthFiles(Vec<BandwidthFile>);

#[derive(Debug)]
enum BandwidthFile {
    V1 { quota: InterfaceFile, period: InterfaceFile },
    V2(InterfaceFile),
}

impl BandwidthFiles {
    /// The files of `group`; they are opened when they are first read.
    pub fn new(group: &Group) -> Self {
        let file = |dir: &Arc<Path>| match group.version() {
            Version::V1 => BandwidthFile::V1 {
                quota: InterfaceFile::new(dir, "cpu.cfs_quota_us"),
                period: InterfaceFile::new(dir, "cpu.cfs_period_us"),
            },
            Version::V2 => BandwidthFile::V2(InterfaceFile::new(dir, "cpu.max")),
        };
        Self(group.levels().iter().map(file).collect())
    }

    /// Bandwidth of the group itself, then of each ancestor below the root; levels that
    /// limit nothing, or have no cpu controller, are left out.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first file that fails.
    pub fn read(&self) -> Result<OfLevels<Bandwidth>, ReadError> {
        self.0.iter().map(BandwidthFile::read).filter_map(Result::transpose).collect()
    }
}

impl BandwidthFile {
    fn read(&self) -> Result<Option<Bandwidth>, ReadError> {
        let (quota, period) = match self {
            Self::V2(file) => return Ok(file.read_if_present(parse_cpu_max)?.flatten()),
            Self::V1 { quota, period } => (quota, period),
        };
        // A kernel without CONFIG_CFS_BANDWIDTH has neither file.
        let Some(quota_us) = quota.read_if_present(parse_cfs_quota)?.flatten() else {
            return Ok(None);
        };
        Ok(Some(Bandwidth { quota_us, period_us: period.read(parse_cfs_period)? }))
    }
}

/// The effective cpuset of a group: what the scheduler uses, not what was asked for.
#[derive(Debug)]
pub struct CpusetFiles(Vec<InterfaceFile>);

impl CpusetFiles {
    /// The files of `group`; they are opened when they are first read.
    pub fn new(group: &Group) -> Self {
        Self::named(group, ["cpuset.effective_cpus", "cpuset.cpus.effective"])
    }

    /// Likewise, but about the memory nodes that the group may use.
    pub fn memory_nodes(group: &Group) -> Self {
        Self::named(group, ["cpuset.effective_mems", "cpuset.mems.effective"])
    }

    /// The files by their names on v1 and on v2.
    fn named(group: &Group, [v1, v2]: [&'static str; 2]) -> Self {
        let name = match group.version() {
            Version::V1 => v1,
            Version::V2 => v2,
        };
        let mut dirs = group.levels();
        dirs.push(group.root_dir().into());
        Self(dirs.iter().map(|dir| InterfaceFile::new(dir, name)).collect())
    }

    /// The set of the group, or of its nearest ancestor with the cpuset
    /// controller; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first file that fails.
    pub fn read(&self) -> Result<Option<CpuList>, ReadError> {
        for file in &self.0 {
            match file.read_if_present(cpu_list::parse)? {
                // A v1 group that was never set up has no CPUs, nor may it have tasks.
                Some(list) if !list.is_empty() => return Ok(Some(list)),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The files that tell how much CPU time a group has used, descendants included.
#[derive(Debug)]
pub enum CpuUsageFiles {
    /// `cpuacct.*`.
    V1 {
        /// `cpuacct.usage`: the exact sum.
        total: InterfaceFile,
        /// `cpuacct.usage_user` and `cpuacct.usage_sys` (Linux 4.7).
        split: [InterfaceFile; 2],
        /// `cpuacct.stat`, for older kernels.
        ticks: InterfaceFile,
    },
    /// `cpu.stat`.
    V2(InterfaceFile),
}

impl CpuUsageFiles {
    /// The files of `group` (of the cpuacct controller on v1).
    pub fn new(group: &Group) -> Self {
        let dir = group.dir().into();
        let file = |name| InterfaceFile::new(&dir, name);
        match group.version() {
            Version::V1 => Self::V1 {
                total: file("cpuacct.usage"),
                split: [file("cpuacct.usage_user"), file("cpuacct.usage_sys")],
                ticks: file("cpuacct.stat"),
            },
            Version::V2 => Self::V2(file("cpu.stat")),
        }
    }

    /// Time used so far, in nanoseconds, in whichever mode: one file.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when that fails.
    pub fn total_ns(&self) -> Result<u64, ReadError> {
        match self {
            Self::V1 { total, .. } => total.read(cpu_usage::parse_nanoseconds),
            Self::V2(file) => file.read(cpu_usage::parse_cpu_stat).map(CpuUsage::total_ns),
        }
    }

    /// Time used so far.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first file that fails.
    pub fn read(&self) -> Result<CpuUsage, ReadError> {
        let (total, [user, system], ticks) = match self {
            Self::V2(file) => return file.read(cpu_usage::parse_cpu_stat),
            Self::V1 { total, split, ticks } => (total, split, ticks),
        };
        let total_ns = total.read(cpu_usage::parse_nanoseconds)?;
        let (user, system) = match user.read_if_present(cpu_usage::parse_nanoseconds)? {
            Some(user_ns) => (user_ns, system.read(cpu_usage::parse_nanoseconds)?),
            None => ticks.read(cpu_usage::parse_cpuacct_stat)?,
        };
        Ok(CpuUsage::split(total_ns, user, system))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroU64;

    use super::*;

    /// A directory plays the hierarchy; the group is `/a/b`.
    fn group_with(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let root = tempfile::tempdir().unwrap();
        let group = Group::new(version, root.path().to_owned(), "/a/b".to_owned());
        fs::create_dir_all(group.dir()).unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        (root, group)
    }

    #[track_caller]
    fn check_bandwidth(version: Version, files: &[(&str, &str)], quotas: &[u64]) {
        let (_root, group) = group_with(version, files);
        let period_us = NonZeroU64::new(100_000).unwrap();
        let expected: Vec<_> =
            quotas.iter().map(|quota_us| Bandwidth { quota_us: *quota_us, period_us }).collect();
        assert_eq!(BandwidthFiles::new(&group).read().unwrap().to_vec(), expected);
    }

    #[test]
    fn bandwidth_of_every_level() {
        check_bandwidth(
            Version::V2,
            &[("a/cpu.max", "50000 100000\n"), ("a/b/cpu.max", "max 100000\n")],
            &[50_000],
        );
        check_bandwidth(
            Version::V1,
            &[
                ("a/cpu.cfs_quota_us", "150000\n"),
                ("a/cpu.cfs_period_us", "100000\n"),
                // How long its period is does not matter.
                ("a/b/cpu.cfs_quota_us", "-1\n"),
            ],
            &[150_000],
        );
    }

    #[test]
    fn a_level_without_the_cpu_controller_limits_nothing() {
        check_bandwidth(Version::V2, &[("a/cpu.max", "1000 100000\n")], &[1000]);
        check_bandwidth(Version::V1, &[], &[]);
    }

    #[track_caller]
    fn check_cpuset(version: Version, files: &[(&str, &str)], cpus: Option<&str>) {
        let (_root, group) = group_with(version, files);
        let list = CpusetFiles::new(&group).read().unwrap();
        assert_eq!(list.map(|list| list.to_string()).as_deref(), cpus);
    }

    #[test]
    fn the_effective_cpuset_wins_over_the_requested_one() {
        let files = [("a/b/cpuset.cpus", "0-3\n"), ("a/b/cpuset.cpus.effective", "1-2\n")];
        check_cpuset(Version::V2, &files, Some("1-2"));
        let files = [("a/b/cpuset.cpus", "0-3\n"), ("a/b/cpuset.effective_cpus", "1\n")];
        check_cpuset(Version::V1, &files, Some("1"));
    }

    #[test]
    fn without_the_cpuset_controller_the_nearest_ancestor_counts() {
        let at_parent = [("cpuset.cpus.effective", "0-7\n"), ("a/cpuset.cpus.effective", "4-5\n")];
        check_cpuset(Version::V2, &at_parent, Some("4-5"));
        check_cpuset(Version::V2, &at_parent[..1], Some("0-7"));
        check_cpuset(Version::V2, &[], None);
    }

    #[test]
    fn an_empty_v1_cpuset_is_not_set_up() {
        let files = [("a/cpuset.effective_cpus", "0-1\n"), ("a/b/cpuset.effective_cpus", "\n")];
        check_cpuset(Version::V1, &files, Some("0-1"));
    }

    #[track_caller]
    fn check_usage(version: Version, files: &[(&str, &str)], user_ns: u64, system_ns: u64) {
        let (_root, group) = group_with(version, files);
        let usage = CpuUsageFiles::new(&group).read().unwrap();
        assert_eq!(usage, CpuUsage { user_ns, system_ns });
    }

    #[test]
    fn v1_usage_is_the_exact_sum_split_as_the_ticks_are() {
        let files = [
            ("a/b/cpuacct.usage", "1000\n"),
            ("a/b/cpuacct.usage_user", "900\n"),
            ("a/b/cpuacct.usage_sys", "300\n"),
            ("a/b/cpuacct.stat", "user 1\nsystem 1\n"),
        ];
        check_usage(Version::V1, &files, 750, 250);
    }

    #[test]
    fn older_v1_kernels_split_by_cpuacct_stat() {
        let files = [("a/b/cpuacct.usage", "1000\n"), ("a/b/cpuacct.stat", "user 1\nsystem 3\n")];
        check_usage(Version::V1, &files, 250, 750);
    }

    #[test]
    fn v2_usage() {
        let text = "usage_usec 4\nuser_usec 3\nsystem_usec 1\n";
        check_usage(Version::V2, &[("a/b/cpu.stat", text)], 3000, 1000);
    }
}
