//! The kernel's page counters (`nr_free_pages`, `nr_mapped`, ...) for a container.
//!
//! `/proc/vmstat`, `/proc/zoneinfo` and the files of memory nodes share these
//! names. A counter is the container's where `memory.stat` has it, and absent
//! otherwise: a gauge of the host's pages tells the host's size or what the
//! neighbours do.

use cgroupfs::memory_stat::MemoryStat;

use super::memory::Sizes;

/// What a counter says for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// This many of its unit: pages, huge pages, or KiB for `nr_kernel_stack`.
    Count(u64),
    /// Nobody counts it for the container.
    Absent,
}

/// The gauge `name` of a container; `None` when it is not a gauge of pages.
pub fn gauge(name: &str, sizes: &Sizes, stat: &MemoryStat, page_size: u64) -> Option<Counter> {
    if !name.starts_with("nr_") {
        return None;
    }
    let count = bytes_of(name, sizes, stat).map(|bytes| bytes / unit(name, page_size).max(1));
    Some(count.map_or(Counter::Absent, Counter::Count))
}

fn bytes_of(name: &str, sizes: &Sizes, stat: &MemoryStat) -> Option<u64> {
    match name {
        "nr_free_pages" => Some(sizes.free),
        "nr_zone_inactive_anon" | "nr_inactive_anon" => stat.inactive_anon,
        "nr_zone_active_anon" | "nr_active_anon" => stat.active_anon,
        "nr_zone_inactive_file" | "nr_inactive_file" => stat.inactive_file,
        "nr_zone_active_file" | "nr_active_file" => stat.active_file,
        "nr_zone_unevictable" | "nr_unevictable" => stat.unevictable,
        "nr_zone_write_pending" => Some(stat.file_dirty?.saturating_add(stat.file_writeback?)),
        "nr_slab_reclaimable" => stat.slab_reclaimable,
        "nr_slab_unreclaimable" => stat.slab_unreclaimable,
        "nr_anon_pages" => stat.anon,
        "nr_mapped" => stat.file_mapped,
        // The kernel counts swapped pages that are in memory among them.
        "nr_file_pages" => Some(stat.file?.saturating_add(stat.swapcached.unwrap_or(0))),
        "nr_dirty" => stat.file_dirty,
        "nr_writeback" => stat.file_writeback,
        "nr_shmem" => stat.shmem,
        "nr_kernel_stack" => stat.kernel_stack,
        "nr_page_table_pages" => stat.pagetables,
        "nr_sec_page_table_pages" => stat.sec_pagetables,
        "nr_swapcached" => stat.swapcached,
        "nr_anon_transparent_hugepages" => stat.anon_thp,
        "nr_shmem_hugepages" => stat.shmem_thp,
        "nr_file_hugepages" => stat.file_thp,
        _another => None,
    }
}

/// Bytes in one of what `name` counts.
fn unit(name: &str, page_size: u64) -> u64 {
    /// Bytes of an entry of a page table, of which one page holds a table: what a
    /// table maps is a huge page.
    const PAGE_TABLE_ENTRY: u64 = 8;
    match name {
        "nr_kernel_stack" => 1024,
        "nr_anon_transparent_hugepages" | "nr_shmem_hugepages" | "nr_file_hugepages" => {
            page_size.saturating_mul(page_size / PAGE_TABLE_ENTRY)
        }
        _pages => page_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::memory::Swap;

    const SIZES: Sizes =
        Sizes { total: 512 << 20, free: 100 << 20, available: 0, swap: Swap { total: 0, free: 0 } };

    #[track_caller]
    fn check(name: &str, page_size: u64, expected: Option<Counter>) {
        let stat = MemoryStat {
            file_mapped: Some(8 << 20),
            kernel_stack: Some(64 << 10),
            anon_thp: Some(1 << 30),
            ..MemoryStat::default()
        };
        assert_eq!(gauge(name, &SIZES, &stat, page_size), expected, "{name}");
    }

    #[test]
    fn each_counter_has_its_unit() {
        check("nr_free_pages", 4096, Some(Counter::Count(25_600)));
        check("nr_mapped", 4096, Some(Counter::Count(2048)));
        check("nr_mapped", 65_536, Some(Counter::Count(128)));
        check("nr_kernel_stack", 4096, Some(Counter::Count(64)));
        check("nr_anon_transparent_hugepages", 4096, Some(Counter::Count(512)));
        check("nr_anon_transparent_hugepages", 65_536, Some(Counter::Count(2)));
    }

    #[test]
    fn what_nobody_counts_is_absent_and_events_are_not_gauges() {
        check("nr_zspages", 4096, Some(Counter::Absent));
        check("nr_dirty", 4096, Some(Counter::Absent));
        check("pgfault", 4096, None);
    }
}
