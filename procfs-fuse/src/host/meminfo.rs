//! The host's `/proc/meminfo`: lines of `Name:   123 kB`.
//!
//! Kernel source of truth: `meminfo_proc_show()` in fs/proc/meminfo.c and the
//! architecture's `arch_report_meminfo()`.

use std::ops::Range;

/// Makes [`Field`] of names and of what they are called here.
macro_rules! fields {
    ($($name:literal => $field:ident,)*) => {
        /// What a line is about, as far as this version knows it: found by name once for
        /// each text, not once for each reader.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`.")] $field,)*
            /// `MemUsed` of a memory node.
            MemUsed,
            /// `FilePages` of a memory node.
            FilePages,
            /// One of the `DirectMap` lines: how the kernel maps its memory.
            DirectMap,
            /// A line that this version does not know.
            Unknown,
        }

        impl Field {
            /// The field that the kernel calls `name`.
            pub fn named(name: &str) -> Self {
                match name {
                    $($name => Self::$field,)*
                    "MemUsed" => Self::MemUsed,
                    "FilePages" => Self::FilePages,
                    _ if name.starts_with("DirectMap") => Self::DirectMap,
                    _another => Self::Unknown,
                }
            }
        }
    };
}

fields! {
    "MemTotal" => MemTotal,
    "MemFree" => MemFree,
    "MemAvailable" => MemAvailable,
    "Buffers" => Buffers,
    "Cached" => Cached,
    "SwapCached" => SwapCached,
    "Active" => Active,
    "Inactive" => Inactive,
    "Active(anon)" => ActiveAnon,
    "Inactive(anon)" => InactiveAnon,
    "Active(file)" => ActiveFile,
    "Inactive(file)" => InactiveFile,
    "Unevictable" => Unevictable,
    "Mlocked" => Mlocked,
    "HighTotal" => HighTotal,
    "HighFree" => HighFree,
    "LowTotal" => LowTotal,
    "LowFree" => LowFree,
    "MmapCopy" => MmapCopy,
    "SwapTotal" => SwapTotal,
    "SwapFree" => SwapFree,
    "Zswap" => Zswap,
    "Zswapped" => Zswapped,
    "Dirty" => Dirty,
    "Writeback" => Writeback,
    "AnonPages" => AnonPages,
    "Mapped" => Mapped,
    "Shmem" => Shmem,
    "KReclaimable" => KReclaimable,
    "Slab" => Slab,
    "SReclaimable" => SReclaimable,
    "SUnreclaim" => SUnreclaim,
    "KernelStack" => KernelStack,
    "ShadowCallStack" => ShadowCallStack,
    "PageTables" => PageTables,
    "SecPageTables" => SecPageTables,
    "Bounce" => Bounce,
    "WritebackTmp" => WritebackTmp,
    "CommitLimit" => CommitLimit,
    "Committed_AS" => CommittedAs,
    "VmallocUsed" => VmallocUsed,
    "Percpu" => Percpu,
    "AnonHugePages" => AnonHugePages,
    "ShmemHugePages" => ShmemHugePages,
    "ShmemPmdMapped" => ShmemPmdMapped,
    "FileHugePages" => FileHugePages,
    "FilePmdMapped" => FilePmdMapped,
    "CmaTotal" => CmaTotal,
    "CmaFree" => CmaFree,
    "Unaccepted" => Unaccepted,
    "Balloon" => Balloon,
    "GPUActive" => GpuActive,
    "GPUReclaim" => GpuReclaim,
}

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line as the kernel wrote it, without its line feed.
    pub text: &'a str,
    /// The word before the colon; empty when there is no colon.
    pub name: &'a str,
    /// What that means.
    pub field: Field,
}

/// Where a line is in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    span: Range<usize>,
    name_end: usize,
    field: Field,
}

impl Line<'_> {
    /// The number, in KiB; `None` for counts (`HugePages_Total`) and for what
    /// is not a number.
    pub fn kib(&self) -> Option<u64> {
        let value = self.text.strip_prefix(self.name)?.strip_prefix(':')?;
        value.strip_suffix(" kB")?.trim_start().parse().ok()
    }
}

impl Place {
    /// The line here of `text`, in which it was found.
    pub fn line_of<'a>(&self, text: &'a str) -> Line<'a> {
        let part = |place: Range<usize>| text.get(place).unwrap_or_default();
        let Self { span, name_end, field } = self;
        Line { text: part(span.clone()), name: part(span.start..*name_end), field: *field }
    }
}

/// The lines of the file, in order.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(line)
}

/// Where they are.
pub fn places(text: &str) -> impl Iterator<Item = Place> {
    let mut begin = 0;
    text.split_inclusive('\n').map(move |whole| {
        let line = line(whole.strip_suffix('\n').unwrap_or(whole));
        let span = begin..begin + line.text.len();
        begin += whole.len();
        Place { name_end: span.start + line.name.len(), span, field: line.field }
    })
}

/// One line, without its line feed.
pub fn line(text: &str) -> Line<'_> {
    let end = text.bytes().position(|byte| byte == b':').unwrap_or(0);
    let name = text.get(..end).unwrap_or_default();
    Line { text, name, field: Field::named(name) }
}

/// The few lines of the host's file that bound every container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`, in bytes.
    pub total: u64,
    /// `MemFree`, in bytes.
    pub free: u64,
    /// `MemAvailable`, in bytes.
    pub available: u64,
    /// What the host could give back on demand, in bytes: page cache without
    /// shared memory, buffers, and slab the kernel counts as reclaimable.
    pub reclaimable: u64,
    /// `SwapTotal`, in bytes; 0 on a host without swap.
    pub swap_total: u64,
    /// `SwapFree`, in bytes.
    pub swap_free: u64,
    /// `CommitLimit`, in bytes.
    pub commit_limit: u64,
}

/// Reads the lines that bound every container; a line that is not there counts
/// as 0, as it does for every reader of the file.
pub fn parse<'a>(lines: impl Iterator<Item = Line<'a>>) -> HostMemory {
    let mut memory = HostMemory::default();
    let mut shared = 0;
    for line in lines {
        let Some(bytes) = line.kib().map(|kib| kib.saturating_mul(1024)) else { continue };
        match line.field {
            Field::MemTotal => memory.total = bytes,
            Field::MemFree => memory.free = bytes,
            Field::MemAvailable => memory.available = bytes,
            Field::Buffers | Field::Cached | Field::SReclaimable => {
                memory.reclaimable = memory.reclaimable.saturating_add(bytes);
            }
            Field::Shmem => shared = bytes,
            Field::SwapTotal => memory.swap_total = bytes,
            Field::SwapFree => memory.swap_free = bytes,
            Field::CommitLimit => memory.commit_limit = bytes,
            _another => {}
        }
    }
    // The kernel counts the two at different instants, so the difference may wrap.
    memory.reclaimable = memory.reclaimable.saturating_sub(shared);
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_number() {
        let text = "MemTotal:       24730032 kB\nHugePages_Total:       3\n???\n";
        let found: Vec<_> = lines(text).map(|line| (line.text, line.name, line.kib())).collect();
        let expected = [
            ("MemTotal:       24730032 kB", "MemTotal", Some(24_730_032)),
            ("HugePages_Total:       3", "HugePages_Total", None),
            ("???", "", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn places_are_those_of_the_lines() {
        for text in ["", "\n", "MemTotal: 1 kB", "MemTotal: 1 kB\n\nDirectMap2M: 3 kB\n", "x"] {
            let of_places: Vec<_> = places(text).map(|place| place.line_of(text)).collect();
            assert_eq!(of_places, lines(text).collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn names_are_the_kernels() {
        for (name, field) in [
            ("Active(anon)", Field::ActiveAnon),
            ("Committed_AS", Field::CommittedAs),
            ("FilePages", Field::FilePages),
            ("DirectMap1G", Field::DirectMap),
            ("HugePages_Total", Field::Unknown),
        ] {
            assert_eq!(Field::named(name), field);
        }
    }

    #[test]
    fn shared_memory_is_not_reclaimable() {
        let text = "Buffers: 1 kB\nCached: 10 kB\nSReclaimable: 5 kB\nShmem: 4 kB\n";
        assert_eq!(parse(lines(text)).reclaimable, 12 << 10);
    }

    #[test]
    fn garbage_is_no_memory_and_no_panic() {
        for text in ["", ":", "MemTotal", "MemTotal: kB", "MemTotal: -1 kB", "Shmem: 9 kB"] {
            assert_eq!(parse(lines(text)), HostMemory::default(), "input: {text:?}");
        }
    }
}
