//! `memory.stat` of v1 (`total_*` keys) and v2 as one set of fields.

use crate::format::FormatError;

/// What a group's memory is used for, descendants included; bytes unless a field
/// says otherwise.
///
/// A field is `None` where the kernel's file has no such line: v1 lacks most of
/// the kernel's own memory, old v2 kernels lack the newer lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// Anonymous memory without shared memory; v2 `anon`, v1 `total_rss`.
    pub anon: Option<u64>,
    /// Page cache with shared memory; v2 `file`, v1 `total_cache`.
    pub file: Option<u64>,
    /// Kernel stacks; v2 `kernel_stack`.
    pub kernel_stack: Option<u64>,
    /// Page tables; v2 `pagetables`.
    pub pagetables: Option<u64>,
    /// Secondary page tables (KVM, IOMMU); v2 `sec_pagetables`.
    pub sec_pagetables: Option<u64>,
    /// Per-CPU kernel memory; v2 `percpu`.
    pub percpu: Option<u64>,
    /// Shared memory and tmpfs; v2 `shmem`, v1 `total_shmem`.
    pub shmem: Option<u64>,
    /// Compressed memory of zswap; v2 `zswap`.
    pub zswap: Option<u64>,
    /// Memory that zswap holds compressed; v2 `zswapped`.
    pub zswapped: Option<u64>,
    /// Page cache mapped into processes; v2 `file_mapped`, v1 `total_mapped_file`.
    pub file_mapped: Option<u64>,
    /// Page cache waiting to be written; v2 `file_dirty`, v1 `total_dirty`.
    pub file_dirty: Option<u64>,
    /// Page cache being written; v2 `file_writeback`, v1 `total_writeback`.
    pub file_writeback: Option<u64>,
    /// Swapped-out pages that are also in memory; v2 `swapcached`, v1 `total_swapcached`.
    pub swapcached: Option<u64>,
    /// Anonymous memory in huge pages; v2 `anon_thp`, v1 `total_rss_huge`.
    pub anon_thp: Option<u64>,
    /// Page cache in huge pages; v2 `file_thp`.
    pub file_thp: Option<u64>,
    /// Shared memory in huge pages; v2 `shmem_thp`.
    pub shmem_thp: Option<u64>,
    /// Inactive anonymous memory; `inactive_anon`.
    pub inactive_anon: Option<u64>,
    /// Active anonymous memory; `active_anon`.
    pub active_anon: Option<u64>,
    /// Inactive page cache; `inactive_file`.
    pub inactive_file: Option<u64>,
    /// Active page cache; `active_file`.
    pub active_file: Option<u64>,
    /// Memory that cannot be reclaimed; `unevictable`.
    pub unevictable: Option<u64>,
    /// Kernel objects that can be given back; v2 `slab_reclaimable`, v1 0 where kernel
    /// memory is counted, since nothing of that is known to be.
    pub slab_reclaimable: Option<u64>,
    /// Kernel objects that cannot; v2 `slab_unreclaimable`, v1 all kernel memory
    /// (`memory.kmem.usage_in_bytes`).
    pub slab_unreclaimable: Option<u64>,
    /// Page faults, a count since the group was made; v2 `pgfault`, v1 `total_pgfault`.
    pub pgfault: Option<u64>,
    /// Those that had to read from a device; v2 `pgmajfault`, v1 `total_pgmajfault`.
    pub pgmajfault: Option<u64>,
}

/// Parses v2's `memory.stat`: lines of `"<key> <number>"`.
///
/// # Errors
///
/// [`FormatError`] with the line that is not a key and a number. Keys that mean
/// nothing to us are skipped: new kernels add some.
pub fn parse_v2(text: &str) -> Result<MemoryStat, FormatError> {
    parse(text, field_v2, |_key| ())
}

/// Parses v1's `memory.stat`, of which the `total_*` keys include descendants.
///
/// # Errors
///
/// As [`parse_v2`].
pub fn parse_v1(text: &str) -> Result<MemoryStat, FormatError> {
    parse(text, field_v1, |_key| ())
}

/// Where the value of a key goes; `None` for a key that means nothing to us.
type Field = for<'a> fn(&'a mut MemoryStat, &str) -> Option<&'a mut Option<u64>>;

fn parse(
    text: &str,
    field: Field,
    mut skipped: impl FnMut(&str),
) -> Result<MemoryStat, FormatError> {
    let mut stat = MemoryStat::default();
    for line in text.lines() {
        let malformed = || FormatError::new("\"<key> <number>\"", line);
        let (key, value) = line.split_once(' ').ok_or_else(malformed)?;
        let value = value.parse().map_err(|_not_a_number| malformed())?;
        match field(&mut stat, key) {
            Some(field) => *field = Some(value),
            None => skipped(key),
        }
    }
    Ok(stat)
}

fn field_v2<'a>(stat: &'a mut MemoryStat, key: &str) -> Option<&'a mut Option<u64>> {
    Some(match key {
        "anon" => &mut stat.anon,
        "file" => &mut stat.file,
        "kernel_stack" => &mut stat.kernel_stack,
        "pagetables" => &mut stat.pagetables,
        "sec_pagetables" => &mut stat.sec_pagetables,
        "percpu" => &mut stat.percpu,
        "shmem" => &mut stat.shmem,
        "zswap" => &mut stat.zswap,
        "zswapped" => &mut stat.zswapped,
        "file_mapped" => &mut stat.file_mapped,
        "file_dirty" => &mut stat.file_dirty,
        "file_writeback" => &mut stat.file_writeback,
        "swapcached" => &mut stat.swapcached,
        "anon_thp" => &mut stat.anon_thp,
        "file_thp" => &mut stat.file_thp,
        "shmem_thp" => &mut stat.shmem_thp,
        "inactive_anon" => &mut stat.inactive_anon,
        "active_anon" => &mut stat.active_anon,
        "inactive_file" => &mut stat.inactive_file,
        "active_file" => &mut stat.active_file,
        "unevictable" => &mut stat.unevictable,
        "slab_reclaimable" => &mut stat.slab_reclaimable,
        "slab_unreclaimable" => &mut stat.slab_unreclaimable,
        "pgfault" => &mut stat.pgfault,
        "pgmajfault" => &mut stat.pgmajfault,
        _ => return None,
    })
}

fn field_v1<'a>(stat: &'a mut MemoryStat, key: &str) -> Option<&'a mut Option<u64>> {
    Some(match key {
        "total_rss" => &mut stat.anon,
        "total_cache" => &mut stat.file,
        "total_shmem" => &mut stat.shmem,
        "total_mapped_file" => &mut stat.file_mapped,
        "total_dirty" => &mut stat.file_dirty,
        "total_writeback" => &mut stat.file_writeback,
        "total_swapcached" => &mut stat.swapcached,
        "total_rss_huge" => &mut stat.anon_thp,
        "total_inactive_anon" => &mut stat.inactive_anon,
        "total_active_anon" => &mut stat.active_anon,
        "total_inactive_file" => &mut stat.inactive_file,
        "total_active_file" => &mut stat.active_file,
        "total_unevictable" => &mut stat.unevictable,
        "total_pgfault" => &mut stat.pgfault,
        "total_pgmajfault" => &mut stat.pgmajfault,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `memory.stat` of a v1 group, Linux 6.18.
    const V1: &str = include_str!("../fixtures/memory.stat.v1-6.18");

    /// `memory.stat` of a v2 group, Linux 6.1.
    const V2: &str = include_str!("../fixtures/memory.stat.v2-6.1");

    /// Keys of v2 that no field is made of: sums of others, what `/proc/meminfo`
    /// has no line for, and event counters.
    fn is_known_on_v2(key: &str) -> bool {
        const SUMS: [&str; 2] = ["kernel", "slab"];
        const NO_LINE: [&str; 3] = ["sock", "vmalloc", "hugetlb"];
        const EVENTS: [&str; 6] = ["workingset_", "pg", "thp_", "zswp", "numa_", "swp"];
        SUMS.contains(&key)
            || NO_LINE.contains(&key)
            || EVENTS.iter().any(|events| key.starts_with(events))
    }

    #[test]
    fn every_key_of_a_v2_kernel_is_known() {
        let mut unknown = Vec::new();
        let skip = |key: &str| {
            if !is_known_on_v2(key) {
                unknown.push(key.to_owned());
            }
        };
        let stat = parse(V2, field_v2, skip).unwrap();
        assert_eq!(unknown, Vec::<String>::new());
        assert_eq!(stat.anon, Some(372_736));
        assert_eq!(stat.slab_unreclaimable, Some(95_280));
        // This kernel was built without zswap.
        assert_eq!(stat.zswapped, None);
    }

    /// Keys of v1 that no field is made of: the group without its descendants,
    /// event counters, and limits that are read elsewhere.
    fn is_known_on_v1(key: &str) -> bool {
        let of_descendants_too = format!("total_{key}");
        let mut stat = MemoryStat::default();
        field_v1(&mut stat, &of_descendants_too).is_some()
            || key.starts_with("hierarchical_")
            || ["pg", "workingset_", "swap"]
                .iter()
                .any(|event| key.trim_start_matches("total_").starts_with(event))
    }

    #[test]
    fn every_key_of_a_v1_kernel_is_known() {
        let mut unknown = Vec::new();
        let skip = |key: &str| {
            if !is_known_on_v1(key) {
                unknown.push(key.to_owned());
            }
        };
        let stat = parse(V1, field_v1, skip).unwrap();
        assert_eq!(unknown, Vec::<String>::new());
        for (field, name) in [
            (stat.anon, "anon"),
            (stat.file, "file"),
            (stat.shmem, "shmem"),
            (stat.file_mapped, "file_mapped"),
            (stat.file_dirty, "file_dirty"),
            (stat.file_writeback, "file_writeback"),
            (stat.swapcached, "swapcached"),
            (stat.anon_thp, "anon_thp"),
            (stat.inactive_anon, "inactive_anon"),
            (stat.active_anon, "active_anon"),
            (stat.inactive_file, "inactive_file"),
            (stat.active_file, "active_file"),
            (stat.unevictable, "unevictable"),
        ] {
            assert!(field.is_some(), "{name} was not found");
        }
        assert_eq!(stat.slab_reclaimable, None);
    }

    #[test]
    fn v1_numbers_are_those_with_descendants() {
        let stat = parse_v1("cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\n").unwrap();
        assert_eq!((stat.file, stat.anon), (Some(10), Some(20)));
    }

    #[test]
    fn v2_keys_that_begin_alike_are_told_apart() {
        let text = "anon 1\nanon_thp 2\nfile 3\nfile_mapped 4\nfile_dirty 5\nfile_writeback 6\n\
                    file_thp 7\nzswap 8\nzswapped 9\npagetables 10\nsec_pagetables 11\n";
        let expected = MemoryStat {
            anon: Some(1),
            anon_thp: Some(2),
            file: Some(3),
            file_mapped: Some(4),
            file_dirty: Some(5),
            file_writeback: Some(6),
            file_thp: Some(7),
            zswap: Some(8),
            zswapped: Some(9),
            pagetables: Some(10),
            sec_pagetables: Some(11),
            ..MemoryStat::default()
        };
        assert_eq!(parse_v2(text), Ok(expected));
    }

    #[test]
    fn the_rest_is_refused() {
        for line in ["anon", "anon x", "anon -1", "anon 1 2"] {
            assert_eq!(parse_v2(line).unwrap_err().found, line);
        }
    }
}
