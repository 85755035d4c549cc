//! What each line of a container's `/proc/meminfo` says.
//!
//! The file keeps the order of the host's. Each line is of one class: the
//! container's own number, scaled from the host's, the host's, or absent. A line
//! that has a meaning for a container but no source on this kernel is absent,
//! not 0: programs look lines up by name, and a 0 would be an invented number.
//! A line that this version does not know stays the host's.
//!
//! Source of truth for people: docs/SEMANTICS.md, which a test holds against
//! this module.

use cgroupfs::memory_stat::MemoryStat;

use super::memory::{self, Sizes};
use crate::host::meminfo::{Field, HostMemory};
use crate::readings::{HostText, Memory};

/// One line of the container's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The host's line, as it is.
    AsIs(&'a str),
    /// A size of the container's.
    Size {
        /// The name before the colon.
        name: &'a str,
        /// The size, in bytes.
        bytes: u64,
    },
}

/// Where a line's number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// This many bytes of the container's.
    Container(u64),
    /// The host's line.
    Host,
    /// Nowhere: the line is left out.
    Absent,
}

/// The lines of a container's file, from the host's file and its readings.
pub fn lines<'a>(
    host_text: &'a HostText,
    memory: &Memory,
    host: &HostMemory,
) -> impl Iterator<Item = Line<'a>> {
    let sizes = memory::sizes(memory, host);
    let stat = memory.stat.unwrap_or_default();
    host_text.meminfo().filter_map(move |line| match source(line.field, &sizes, &stat, host) {
        Source::Container(bytes) => Some(Line::Size { name: line.name, bytes }),
        Source::Host => Some(Line::AsIs(line.text)),
        Source::Absent => None,
    })
}

/// Where the number of the line about `field` comes from.
pub(super) fn source(field: Field, sizes: &Sizes, stat: &MemoryStat, host: &HostMemory) -> Source {
    size_of(field, sizes, host)
        .or_else(|| usage_of(field, stat, sizes.total))
        .unwrap_or_else(|| if is_absent(field) { Source::Absent } else { Source::Host })
}

/// Lines that say how big the container is and how much is left.
fn size_of(field: Field, sizes: &Sizes, host: &HostMemory) -> Option<Source> {
    Some(Source::Container(match field {
        Field::MemTotal => sizes.total,
        Field::MemFree => sizes.free,
        Field::MemAvailable => sizes.available,
        Field::SwapTotal => sizes.swap.total,
        Field::SwapFree => sizes.swap.free,
        Field::CommitLimit => commit_limit(sizes, host),
        _another => return None,
    }))
}

/// The share of memory that the host lets be committed, applied to the
/// container's own sizes: `MemTotal * ratio + SwapTotal`.
fn commit_limit(sizes: &Sizes, host: &HostMemory) -> u64 {
    let of_memory = u128::from(host.commit_limit.saturating_sub(host.swap_total));
    let scaled = of_memory * u128::from(sizes.total) / u128::from(host.total.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX).saturating_add(sizes.swap.total)
}

/// Lines that say what the container's memory is used for, from `memory.stat`.
fn usage_of(field: Field, stat: &MemoryStat, total: u64) -> Option<Source> {
    let bytes = match field {
        // A cgroup does not tell block devices' cache from files': all of it is in Cached.
        Field::Buffers => stat.file.map(|_in_cached| 0),
        Field::Cached => stat.file.map(|file| file.min(total)),
        Field::SwapCached => stat.swapcached,
        Field::Active => sum(stat.active_anon, stat.active_file),
        Field::Inactive => sum(stat.inactive_anon, stat.inactive_file),
        Field::ActiveAnon => stat.active_anon,
        Field::InactiveAnon => stat.inactive_anon,
        Field::ActiveFile => stat.active_file,
        Field::InactiveFile => stat.inactive_file,
        Field::Unevictable => stat.unevictable,
        Field::Zswap => stat.zswap,
        Field::Zswapped => stat.zswapped,
        Field::Dirty => stat.file_dirty,
        Field::Writeback => stat.file_writeback,
        Field::AnonPages => stat.anon,
        Field::Mapped => stat.file_mapped,
        Field::Shmem => stat.shmem,
        Field::KReclaimable | Field::SReclaimable => stat.slab_reclaimable,
        Field::SUnreclaim => stat.slab_unreclaimable,
        Field::Slab => sum(stat.slab_reclaimable, stat.slab_unreclaimable),
        Field::KernelStack => stat.kernel_stack,
        Field::PageTables => stat.pagetables,
        Field::SecPageTables => stat.sec_pagetables,
        Field::Percpu => stat.percpu,
        Field::AnonHugePages => stat.anon_thp,
        Field::ShmemHugePages => stat.shmem_thp,
        Field::FileHugePages => stat.file_thp,
        _another => return None,
    };
    Some(bytes.map_or(Source::Absent, Source::Container))
}

/// The sum as the file's reader adds it up: each part in whole KiB. Slab is
/// charged by the byte.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    let in_whole_kib = |bytes: u64| bytes - bytes % 1024;
    Some(in_whole_kib(one?).saturating_add(in_whole_kib(other?)))
}

/// Lines that no cgroup counts and that would tell the host's size or the
/// neighbours' usage.
fn is_absent(field: Field) -> bool {
    matches!(field, |Field::HighTotal| Field::HighFree
        | Field::LowTotal
        | Field::LowFree
        | Field::MmapCopy
        | Field::Mlocked
        | Field::ShadowCallStack
        | Field::Bounce
        | Field::WritebackTmp
        | Field::CommittedAs
        | Field::VmallocUsed
        | Field::ShmemPmdMapped
        | Field::FilePmdMapped
        | Field::CmaTotal
        | Field::CmaFree
        | Field::Unaccepted
        | Field::Balloon
        | Field::GpuActive
        | Field::GpuReclaim
        | Field::DirectMap)
}

#[cfg(test)]
mod tests {
    use cgroupfs::limit::Limit;

    use super::*;
    use crate::host::meminfo::{lines as lines_of, parse};
    use crate::readings::MemoryLevel;

    const HOST: &str = "\
MemTotal:        8388608 kB
Cached:          1048576 kB
Mapped:           500000 kB
Dirty:             40000 kB
Writeback:           400 kB
Slab:             900000 kB
SwapCached:            0 kB
ShmemHugePages:        0 kB
AnonHugePages:    200000 kB
CommitLimit:     5242880 kB
SwapTotal:       1048576 kB
DirectMap4k:      100000 kB
Newcomer:             17 kB
";

    fn memory(stat: MemoryStat) -> Memory {
        let level = MemoryLevel { limit: Limit::AtMost(1 << 30), usage: 500 << 20, swap: None };
        Memory { levels: vec![level].into(), stat: Some(stat) }
    }

    fn kib(stat: MemoryStat, name: &str) -> Option<u64> {
        let host = parse(lines_of(HOST));
        lines(&HOST.into(), &memory(stat), &host).find_map(|line| match line {
            Line::Size { name: found, bytes } if found == name => Some(bytes / 1024),
            Line::AsIs(text) if text.starts_with(name) => panic!("{name} is the host's"),
            _another => None,
        })
    }

    /// lxcfs on v2: the prefix `file` swallows `file_mapped`, so Mapped is always 0.
    #[test]
    fn mapped_is_the_containers() {
        let stat = MemoryStat { file_mapped: Some(8 << 20), ..MemoryStat::default() };
        assert_eq!(kib(stat, "Mapped"), Some(8 << 10));
    }

    /// lxcfs on v2: never read, always 0.
    #[test]
    fn dirty_and_writeback_are_the_containers() {
        let stat = MemoryStat {
            file_dirty: Some(4 << 20),
            file_writeback: Some(12 << 10),
            ..MemoryStat::default()
        };
        assert_eq!((kib(stat, "Dirty"), kib(stat, "Writeback")), (Some(4 << 10), Some(12)));
    }

    /// lxcfs: always 0 on both versions.
    #[test]
    fn anon_huge_pages_are_the_containers() {
        let stat = MemoryStat { anon_thp: Some(2 << 20), ..MemoryStat::default() };
        assert_eq!(kib(stat, "AnonHugePages"), Some(2 << 10));
    }

    /// lxcfs: always 0, though the kernel counts them.
    #[test]
    fn swapped_and_shared_pages_are_the_containers() {
        let stat = MemoryStat {
            swapcached: Some(4 << 20),
            shmem_thp: Some(2 << 20),
            ..MemoryStat::default()
        };
        assert_eq!(
            (kib(stat, "SwapCached"), kib(stat, "ShmemHugePages")),
            (Some(4096), Some(2048))
        );
    }

    #[test]
    fn parts_add_up_as_they_are_written() {
        let stat = MemoryStat {
            slab_reclaimable: Some(1023 + 4096),
            slab_unreclaimable: Some(1023 + 8192),
            ..MemoryStat::default()
        };
        assert_eq!(kib(stat, "Slab"), Some(12));
    }

    /// lxcfs on v1: Slab 0 although nothing counted it.
    #[test]
    fn what_no_cgroup_file_says_is_absent_not_zero() {
        assert_eq!(kib(MemoryStat::default(), "Slab"), None);
        assert_eq!(kib(MemoryStat::default(), "Cached"), None);
    }

    #[test]
    fn the_hosts_size_does_not_shine_through() {
        assert_eq!(kib(MemoryStat::default(), "DirectMap4k"), None);
        // The host commits half its memory and all its swap.
        assert_eq!(kib(MemoryStat::default(), "CommitLimit"), Some((512 << 10) + 1_048_576));
    }

    #[test]
    fn a_line_of_a_newer_kernel_stays_the_hosts() {
        let host = parse(lines_of(HOST));
        let text = HostText::from(HOST);
        let lines: Vec<_> = lines(&text, &memory(MemoryStat::default()), &host).collect();
        assert_eq!(lines.last(), Some(&Line::AsIs("Newcomer:             17 kB")));
    }
}
