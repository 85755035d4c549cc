//! How much memory and swap a container has, and how much of it is left.
//!
//! The answer is the tightest level of the hierarchy: a limit counts wherever
//! it stands above the container, and what is left at a level is its limit
//! minus the usage *at that level*, siblings included. The host is the last
//! level.
//!
//! Clamped throughout: usage may exceed a limit that was just lowered, and the
//! kernel counts usage, statistics and the host's numbers at different instants.

use cgroupfs::memory_stat::MemoryStat;

use crate::host::meminfo::HostMemory;
use crate::readings::{Memory, SwapLevel};

/// Sizes that a container sees, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Smallest limit on the way up; never above the host's memory.
    pub total: u64,
    /// What could be taken without reclaiming anything of the container's own.
    ///
    /// The smallest (limit - usage) on the way up; at most the host's free and
    /// reclaimable memory, and at most `total - page cache - reclaimable slab`.
    pub free: u64,
    /// What could be taken without swapping: `free`, the container's page cache
    /// and its reclaimable slab; at most `total` and the host's own estimate.
    pub available: u64,
    /// Swap that the container may use.
    pub swap: Swap,
}

/// Swap that a container sees, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swap {
    /// Smallest swap limit on the way up; never above the host's swap.
    pub total: u64,
    /// Smallest (limit - usage) on the way up; never above what the host has left.
    pub free: u64,
}

impl Swap {
    /// Swap in use, in bytes: what is neither free nor the host's to give.
    pub fn used(self) -> u64 {
        self.total.saturating_sub(self.free)
    }
}

/// The sizes of a container with this `memory` on this `host`.
pub fn sizes(memory: &Memory, host: &HostMemory) -> Sizes {
    let mut total = host.total;
    let mut free = host.free.saturating_add(host.reclaimable).min(host.total);
    for level in &memory.levels {
        let limit = level.limit.at_most(host.total);
        total = total.min(limit);
        free = free.min(limit.saturating_sub(level.usage));
    }
    let reclaimable = memory.stat.as_ref().map_or(0, reclaimable);
    let cache = memory.stat.as_ref().map_or(0, page_cache);
    let free = free.min(total.saturating_sub(cache));
    let available = free.saturating_add(reclaimable).min(total).min(host.available);
    Sizes { total, free, available, swap: swap(memory, host) }
}

/// Page cache that is not shared memory, and slab that can be given back.
fn reclaimable(stat: &MemoryStat) -> u64 {
    sum(&[stat.active_file, stat.inactive_file, stat.slab_reclaimable])
}

/// What `free` prints as "buff/cache": used memory, so never free as well.
fn page_cache(stat: &MemoryStat) -> u64 {
    sum(&[stat.file, stat.slab_reclaimable])
}

/// The sum of what is known.
fn sum(parts: &[Option<u64>]) -> u64 {
    parts.iter().flatten().fold(0, |sum, part| sum.saturating_add(*part))
}

/// The swap of a container with this `memory` on this `host`.
///
/// Without swap accounting nothing limits the container's swap but the host's
/// own, so that is what it sees.
pub fn swap(memory: &Memory, host: &HostMemory) -> Swap {
    let mut swap = Swap { total: host.swap_total, free: host.swap_free.min(host.swap_total) };
    for SwapLevel { limit, usage } in memory.levels.iter().filter_map(|level| level.swap) {
        let limit = limit.at_most(host.swap_total);
        swap.total = swap.total.min(limit);
        swap.free = swap.free.min(limit.saturating_sub(usage));
    }
    swap
}

#[cfg(test)]
mod tests {
    use cgroupfs::limit::Limit;

    use super::*;
    use crate::numbers::Numbers;
    use crate::readings::MemoryLevel;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    const HOST: HostMemory = HostMemory {
        total: 8 * GIB,
        free: 4 * GIB,
        available: 5 * GIB,
        reclaimable: 2 * GIB,
        swap_total: GIB,
        swap_free: GIB,
        commit_limit: 5 * GIB,
    };

    fn level(limit: Option<u64>, usage: u64) -> MemoryLevel {
        let limit = limit.map_or(Limit::Unlimited, Limit::AtMost);
        MemoryLevel { limit, usage, swap: None }
    }

    fn swap_level(limit: Option<u64>, usage: u64) -> MemoryLevel {
        let limit = limit.map_or(Limit::Unlimited, Limit::AtMost);
        MemoryLevel { swap: Some(SwapLevel { limit, usage }), ..level(None, 0) }
    }

    #[track_caller]
    fn check(levels: &[MemoryLevel], total: u64, free: u64) {
        let memory = Memory { levels: levels.into(), stat: None };
        let sizes = sizes(&memory, &HOST);
        assert_eq!((sizes.total, sizes.free), (total, free), "levels: {levels:?}");
    }

    #[test]
    fn the_tightest_level_counts() {
        check(&[level(Some(512 * MIB), 100 * MIB)], 512 * MIB, 412 * MIB);
        check(&[level(Some(GIB), 0), level(Some(200 * MIB), 50 * MIB)], 200 * MIB, 150 * MIB);
        check(&[level(None, 3 * GIB), level(None, 0)], 8 * GIB, 5 * GIB);
        check(&[level(Some(64 * GIB), 0)], 8 * GIB, 6 * GIB);
    }

    /// lxcfs subtracts the container's own usage from its parent's limit.
    #[test]
    fn siblings_under_a_limited_parent_leave_less_free() {
        check(&[level(None, 10 * MIB), level(Some(GIB), 900 * MIB)], GIB, 124 * MIB);
    }

    /// lxcfs subtracts without a clamp: a lowered limit wraps around.
    #[test]
    fn usage_above_a_lowered_limit_leaves_nothing_free() {
        check(&[level(Some(100 * MIB), 300 * MIB)], 100 * MIB, 0);
    }

    /// lxcfs on v2: no `memory.current` at the root, so MemFree = MemTotal.
    #[test]
    fn free_is_never_more_than_the_host_could_give() {
        check(&[], 8 * GIB, 6 * GIB);
    }

    /// lxcfs: MemAvailable above MemTotal at the root.
    #[test]
    fn available_is_at_most_total_and_the_hosts() {
        let stat = MemoryStat {
            file: Some(400 * MIB),
            active_file: Some(200 * MIB),
            inactive_file: Some(200 * MIB),
            slab_reclaimable: Some(10 * MIB),
            ..MemoryStat::default()
        };
        let of = |limit, usage, host| {
            let memory = Memory { levels: vec![level(limit, usage)].into(), stat: Some(stat) };
            sizes(&memory, &host).available
        };
        assert_eq!(of(Some(GIB), 500 * MIB, HOST), 934 * MIB);
        assert_eq!(of(Some(GIB), 0, HOST), GIB, "statistics later than usage");
        assert_eq!(of(None, 500 * MIB, HOST), 5 * GIB, "the host's own estimate");
    }

    fn random_memory(numbers: &mut Numbers) -> Memory {
        let limit = |bound: Option<u64>| bound.map_or(Limit::Unlimited, Limit::AtMost);
        let mut level = || MemoryLevel {
            limit: limit(numbers.maybe()),
            usage: numbers.any(),
            swap: numbers.maybe().map(|usage| SwapLevel { limit: limit(numbers.maybe()), usage }),
        };
        let levels = vec![level(), level(), level()];
        let stat = MemoryStat {
            file: numbers.maybe(),
            active_file: numbers.maybe(),
            inactive_file: numbers.maybe(),
            slab_reclaimable: numbers.maybe(),
            ..MemoryStat::default()
        };
        Memory { levels: levels.into(), stat: Some(stat) }
    }

    #[test]
    fn whatever_is_read_the_sizes_fit_together() {
        for seed in 1..20_000 {
            let mut numbers = Numbers::new(seed);
            let host = HostMemory {
                total: numbers.any(),
                free: numbers.any(),
                available: numbers.any(),
                reclaimable: numbers.any(),
                swap_total: numbers.any(),
                swap_free: numbers.any(),
                commit_limit: numbers.any(),
            };
            let memory = random_memory(&mut numbers);
            let sizes = sizes(&memory, &host);
            let Sizes { total, free, available, swap } = sizes;
            let context = format!("seed {seed}: {memory:?} {host:?} {sizes:?}");
            assert!(total <= host.total && free <= total, "{context}");
            assert!(available <= total && available <= host.available, "{context}");
            assert!(swap.free <= swap.total && swap.total <= host.swap_total, "{context}");
            assert_eq!(swap.used() + swap.free, swap.total, "{context}");
            for level in &memory.levels {
                let limit = level.limit.at_most(host.total);
                assert!(total <= limit && free <= limit.saturating_sub(level.usage), "{context}");
            }
        }
    }

    #[test]
    fn swap_is_the_tightest_level() {
        let of = |levels: &[MemoryLevel]| {
            let swap = swap(&Memory { levels: levels.into(), stat: None }, &HOST);
            (swap.total / MIB, swap.free / MIB, swap.used() / MIB)
        };
        assert_eq!(of(&[level(None, 0)]), (1024, 1024, 0), "no accounting: the host's");
        assert_eq!(of(&[swap_level(None, 24 * MIB)]), (1024, 1000, 24));
        assert_eq!(of(&[swap_level(Some(0), 0)]), (0, 0, 0));
        let nested = [swap_level(Some(800 * MIB), 10 * MIB), swap_level(Some(100 * MIB), 30 * MIB)];
        assert_eq!(of(&nested), (100, 70, 30));
    }

    /// lxcfs on v2: SwapTotal - memory.swap.current, unsigned and unclamped.
    #[test]
    fn swap_in_use_above_its_limit_leaves_none_free() {
        let memory = Memory { levels: vec![swap_level(Some(MIB), 3 * MIB)].into(), stat: None };
        assert_eq!(swap(&memory, &HOST), Swap { total: MIB, free: 0 });
    }
}
