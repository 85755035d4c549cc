//! The swap areas that a container sees: one, of the size it may use.

use super::memory;
use crate::host::meminfo::HostMemory;
use crate::readings::Memory;

/// One line of `/proc/swaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapArea {
    /// What stands for the path of a device.
    pub name: &'static str,
    /// Size of the area, in bytes; never 0.
    ///
    /// Source: `SwapTotal` of the container's meminfo.
    pub size: u64,
    /// Part of [`size`](Self::size) in use, in bytes; never above it.
    ///
    /// Source: `SwapTotal - SwapFree` of the container's meminfo.
    pub used: u64,
    /// Order of use among areas; there is only one.
    pub priority: i32,
}

/// The container's swap area; `None` when it may not swap.
pub fn area(memory: &Memory, host: &HostMemory) -> Option<SwapArea> {
    let swap = memory::swap(memory, host);
    (swap.total > 0).then(|| SwapArea {
        name: "none",
        size: swap.total,
        used: swap.used(),
        priority: 0,
    })
}

#[cfg(test)]
mod tests {
    use cgroupfs::limit::Limit;

    use super::*;
    use crate::readings::{MemoryLevel, SwapLevel};

    #[track_caller]
    fn check(limit: Limit, usage: u64, expected: Option<(u64, u64)>) {
        let swap = Some(SwapLevel { limit, usage });
        let level = MemoryLevel { limit: Limit::Unlimited, usage: 0, swap };
        let memory = Memory { levels: vec![level].into(), stat: None };
        let host = HostMemory { swap_total: 1000, swap_free: 900, ..HostMemory::default() };
        let found = area(&memory, &host).map(|area| (area.size, area.used));
        assert_eq!(found, expected, "limit {limit:?}, usage {usage}");
    }

    #[test]
    fn the_area_is_what_meminfo_says() {
        check(Limit::AtMost(500), 20, Some((500, 20)));
        check(Limit::AtMost(0), 0, None);
        check(Limit::AtMost(500), 501, Some((500, 500)));
        check(Limit::Unlimited, 300, Some((1000, 300)));
    }
}
