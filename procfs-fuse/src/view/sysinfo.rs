//! What `sysinfo(2)` says to a container: the numbers of `/proc/meminfo`,
//! `/proc/loadavg` and `/proc/uptime` once more.

use super::{loadavg, memory};
use crate::readings::Sample;

const NS_PER_SEC: u64 = 1_000_000_000;

/// The numbers of `struct sysinfo`; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemInfo {
    /// Seconds since the machine began, in the reader's time namespace, rounded up as
    /// the kernel does.
    pub uptime_s: u64,
    /// Load over 1, 5 and 15 minutes, in the kernel's fixed point: 2048 is a load of one.
    pub loads: [u64; 3],
    /// `MemTotal`.
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// `Shmem`; 0 where no cgroup counts it, for there is no leaving it out.
    pub shared: u64,
    /// `Buffers`: 0, a cgroup counts the cache of block devices with that of files.
    pub buffers: u64,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
    /// Processes and threads, as the second number of running/total in `/proc/loadavg`.
    pub tasks: u64,
}

/// What the container of this `sample` is told; `None` when a part of it is not known:
/// then the kernel's own answer is better than half of ours.
pub fn system_info(sample: &Sample) -> Option<SystemInfo> {
    let readings = sample.container.memory.as_ref()?;
    let load = loadavg::load_average(sample)?;
    let sizes = memory::sizes(readings, &sample.host.memory);
    let offset_ns = sample.reader.boottime_offset_ns.unwrap_or(0);
    let up_ns = sample.now_ns.checked_add_signed(offset_ns).unwrap_or(0);
    Some(SystemInfo {
        uptime_s: up_ns.div_ceil(NS_PER_SEC),
        loads: load.averages,
        total: sizes.total,
        free: sizes.free,
        shared: readings.stat.and_then(|stat| stat.shmem).unwrap_or(0),
        buffers: 0,
        swap_total: sizes.swap.total,
        swap_free: sizes.swap.free,
        tasks: load.total,
    })
}

#[cfg(test)]
mod tests {
    use cgroupfs::limit::Limit;
    use cgroupfs::memory_stat::MemoryStat;

    use super::*;
    use crate::readings::{Load, Memory, MemoryLevel, Tasks};
    use crate::view::samples;

    #[test]
    fn it_is_what_the_files_say() {
        let mut sample = samples::sample("");
        sample.host.memory.total = 8 << 30;
        sample.host.memory.free = 8 << 30;
        sample.now_ns = 1_000_000_000_001;
        sample.reader.boottime_offset_ns = Some(-900_000_000_000);
        assert_eq!(system_info(&sample), None);
        let level = MemoryLevel { limit: Limit::AtMost(512 << 20), usage: 12 << 20, swap: None };
        let stat = MemoryStat { shmem: Some(1 << 20), ..MemoryStat::default() };
        sample.container.memory = Some(Memory { levels: vec![level].into(), stat: Some(stat) });
        sample.container.load = Some(Load { averages: [1, 2, 3] });
        assert_eq!(system_info(&sample), None);
        sample.container.tasks = Some(Tasks { running: 1, total: 9, ..Tasks::default() });
        let info = system_info(&sample).unwrap();
        assert_eq!((info.uptime_s, info.loads, info.tasks), (101, [1, 2, 3], 9));
        assert_eq!((info.total >> 20, info.free >> 20, info.shared >> 20), (512, 500, 1));
    }
}
