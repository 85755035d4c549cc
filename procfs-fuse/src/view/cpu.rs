//! How many CPUs a container has, and which of the host's they are.
//!
//! N = min(online CPUs in the effective cpuset, ceil(quota / period) at every
//! level), at least 1. A quota of one and a half CPUs makes two: a program that
//! starts a thread per CPU then uses all of it. Weights (`cpu.weight`,
//! `cpu.shares`) bound nothing and do not count.
//!
//! The container sees CPUs 0..N-1. They are told from the first N physical CPUs
//! of its cpuset; `possible` and `kernel_max` stay the host's, because they
//! bound CPU *ids*, which programs get from the kernel unchanged.

use cgroupfs::bandwidth::Bandwidth;
use cgroupfs::cpu_list::CpuList;

use crate::readings::{Cpu, Sample};

/// The CPUs that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    /// The physical CPUs whose facts are shown, ascending; never empty. The
    /// container knows the first as CPU 0, the next as CPU 1, and so on.
    pub physical: CpuList,
}

impl Visible {
    /// How many CPUs the container sees; at least 1.
    pub fn count(&self) -> u32 {
        u32::try_from(self.physical.count()).unwrap_or(u32::MAX).max(1)
    }

    /// The ids that the container sees: `0..count`.
    pub fn ids(&self) -> CpuList {
        CpuList::first(self.count())
    }
}

/// The CPUs that the container of this `sample` sees.
pub fn visible(sample: &Sample) -> Visible {
    let online = &sample.host.online;
    let Some(cpu) = &sample.container.cpu else { return Visible { physical: online.clone() } };
    let usable = usable(cpu, online);
    let count = cpu.bandwidth.iter().map(whole_cpus).min();
    let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    Visible { physical: usable.iter().take(count).collect() }
}

/// The online CPUs of the effective cpuset. A cpuset of which nothing is online
/// is a reading from the middle of a hotplug: the online CPUs then.
fn usable(cpu: &Cpu, online: &CpuList) -> CpuList {
    let usable = cpu.cpuset.as_ref().map(|cpuset| cpuset.intersection(online));
    usable.filter(|usable| !usable.is_empty()).unwrap_or_else(|| online.clone())
}

/// How many CPUs a quota keeps busy, rounded up; at least 1.
fn whole_cpus(bandwidth: &Bandwidth) -> u64 {
    bandwidth.quota_us.div_ceil(bandwidth.period_us.get()).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::view::samples;

    /// Quotas in tenths of a CPU, the container's own first.
    #[track_caller]
    fn check(online: &str, cpuset: Option<&str>, quotas: &[u64], physical: &str) {
        let list = |text| cgroupfs::cpu_list::parse(text).unwrap();
        let bandwidth = quotas.iter().map(|tenths| Bandwidth {
            quota_us: tenths * 10_000,
            period_us: NonZeroU64::new(100_000).unwrap(),
        });
        let cpu = Cpu {
            bandwidth: bandwidth.collect(),
            cpuset: cpuset.map(list),
            memory_nodes: None,
            usage: None,
        };
        let mut sample = samples::sample("");
        sample.host.online = list(online);
        sample.container.cpu = Some(cpu);
        assert_eq!(visible(&sample).physical.to_string(), physical);
    }

    #[test]
    fn quotas_are_rounded_up() {
        check("0-3", None, &[5], "0");
        check("0-3", None, &[10], "0");
        check("0-3", None, &[15], "0-1");
        check("0-3", None, &[20], "0-1");
        check("0-3", None, &[21], "0-2");
        check("0-1", None, &[30], "0-1");
        check("0-3", None, &[], "0-3");
    }

    /// lxcfs 6: looks at the container's own group only.
    #[test]
    fn the_quota_of_an_ancestor_counts() {
        check("0-3", None, &[30, 5], "0");
        check("0-3", None, &[30, 20], "0-1");
    }

    #[test]
    fn cpusets_pick_the_physical_cpus() {
        check("0-3", Some("1-2"), &[], "1-2");
        check("0-3", Some("1-2"), &[10], "1");
        check("0-3", Some("0-7"), &[], "0-3");
        check("0,2-3", Some("0-1"), &[], "0");
    }

    #[test]
    fn there_is_always_a_cpu() {
        check("0-3", None, &[0], "0");
        check("0-3", Some(""), &[], "0-3");
        check("0-1", Some("4-5"), &[], "0-1");
    }
}
