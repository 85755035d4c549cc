//! `memory.stat` of v1 (`total_*` keys) and v2 as one set of fields.

/// What a group's memory is used for, descendants included; bytes.
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
    /// Kernel objects that can be given back; v2 `slab_reclaimable`.
    pub slab_reclaimable: Option<u64>,
    /// Kernel objects that cannot; v2 `slab_unreclaimable`.
    pub slab_unreclaimable: Option<u64>,
}
