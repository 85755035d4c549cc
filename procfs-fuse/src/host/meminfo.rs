//! The host's `/proc/meminfo`: lines of `Name:   123 kB`.
//!
//! Kernel source of truth: `meminfo_proc_show()` in fs/proc/meminfo.c and the
//! architecture's `arch_report_meminfo()`.

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line as the kernel wrote it, without its line feed.
    pub text: &'a str,
    /// The word before the colon; empty when there is no colon.
    pub name: &'a str,
}

impl Line<'_> {
    /// The number, in KiB; `None` for counts (`HugePages_Total`) and for what
    /// is not a number.
    pub fn kib(&self) -> Option<u64> {
        let value = self.text.strip_prefix(self.name)?.strip_prefix(':')?;
        value.strip_suffix(" kB")?.trim_start().parse().ok()
    }
}

/// The lines of the file, in order.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(line)
}

/// One line, without its line feed.
pub fn line(text: &str) -> Line<'_> {
    let end = text.bytes().position(|byte| byte == b':').unwrap_or(0);
    Line { text, name: text.get(..end).unwrap_or_default() }
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
pub fn parse(text: &str) -> HostMemory {
    let mut memory = HostMemory::default();
    let mut shared = 0;
    for line in lines(text) {
        let Some(bytes) = line.kib().map(|kib| kib.saturating_mul(1024)) else { continue };
        match line.name {
            "MemTotal" => memory.total = bytes,
            "MemFree" => memory.free = bytes,
            "MemAvailable" => memory.available = bytes,
            "Buffers" | "Cached" | "SReclaimable" => {
                memory.reclaimable = memory.reclaimable.saturating_add(bytes);
            }
            "Shmem" => shared = bytes,
            "SwapTotal" => memory.swap_total = bytes,
            "SwapFree" => memory.swap_free = bytes,
            "CommitLimit" => memory.commit_limit = bytes,
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
    fn shared_memory_is_not_reclaimable() {
        let text = "Buffers: 1 kB\nCached: 10 kB\nSReclaimable: 5 kB\nShmem: 4 kB\n";
        assert_eq!(parse(text).reclaimable, 12 << 10);
    }

    #[test]
    fn garbage_is_no_memory_and_no_panic() {
        for text in ["", ":", "MemTotal", "MemTotal: kB", "MemTotal: -1 kB", "Shmem: 9 kB"] {
            assert_eq!(parse(text), HostMemory::default(), "input: {text:?}");
        }
    }
}
