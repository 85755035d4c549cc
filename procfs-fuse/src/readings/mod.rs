//! What the kernel says about one container and its host, as plain data.
//!
//! The types here are the seam between the part of the daemon that reads files
//! and the part that decides and formats: `view/` sees nothing else. They say
//! the same thing for cgroup v1 and v2; times are in nanoseconds, sizes in
//! bytes. A value that the kernel does not offer is `None`, never zero.
//!
//! The submodules take the readings: of the host ([`HostFiles`]) and of a container
//! ([`ContainerFiles`]), through files that are kept open.
//!
//! Which of them are read for a file is said by [`Needs`] in its catalogue row,
//! so that reading `uptime` never pays for `memory.stat`.

mod activity_files;
mod clock;
mod container_files;
mod error;
mod host_files;
mod host_text;
mod shared;
mod task_list;

pub use activity_files::ActivityFiles;
pub use clock::Clock;
pub use container_files::ContainerFiles;
pub use error::ReadingError;
pub use host_files::{HostFiles, page_size, ticks_per_second};
pub use host_text::HostText;
pub use shared::Shared;

use bitflags::bitflags;
use cgroupfs::bandwidth::Bandwidth;
use cgroupfs::cpu_list::CpuList;
use cgroupfs::group::OfLevels;
use cgroupfs::io::{Device, IoUsage};
use cgroupfs::memory_stat::MemoryStat;

pub use cgroupfs::cpu_usage::CpuUsage;
pub use cgroupfs::memory::{MemoryLevel, SwapLevel};

use crate::host::meminfo::HostMemory;
use crate::host::node::Node;

bitflags! {
    /// The readings that a file is computed from.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Needs: u32 {
        /// [`Container::memory`] without its `stat` and its swap, and [`Host::memory`].
        const MEMORY = 1 << 0;
        /// [`Memory::stat`]: dear on v2, where it flushes statistics.
        const MEMORY_STAT = 1 << 1;
        /// [`Container::cpu`] limits: bandwidth and cpuset.
        const CPU_LIMITS = 1 << 2;
        /// [`Cpu::usage`].
        const CPU_USAGE = 1 << 3;
        /// [`Container::tasks`].
        const TASKS = 1 << 4;
        /// [`Container::load`].
        const LOAD = 1 << 5;
        /// [`Container::io`].
        const IO = 1 << 6;
        /// [`Container::pressure`] of CPUs.
        const CPU_PRESSURE = 1 << 7;
        /// [`Container::pressure`] of block IO.
        const IO_PRESSURE = 1 << 8;
        /// [`Container::pressure`] of interrupts.
        const IRQ_PRESSURE = 1 << 9;
        /// [`Container::pressure`] of memory.
        const MEMORY_PRESSURE = 1 << 10;
        /// [`Host::nodes`] and [`Cpu::memory_nodes`].
        const NODES = 1 << 11;
        /// [`Sample::reader`].
        const READER = 1 << 12;
        /// [`Container::started_ns`].
        const START = 1 << 13;
        /// [`Host::device`].
        const DEVICE = 1 << 14;
        /// Swap of [`Container::memory`], beside [`MEMORY`](Self::MEMORY); no row of the
        /// catalogue asks for it, but whoever reads for one, where the host has swap.
        const SWAP = 1 << 15;
    }
}

/// One answer's worth of readings.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The moment the readings were taken: nanoseconds of `CLOCK_BOOTTIME` in
    /// the host's time namespace.
    pub now_ns: u64,
    /// The host's own copy of the file that is asked for, as text.
    pub host_text: HostText,
    /// Facts about the host that more than one file needs.
    pub host: Host,
    /// What the container's cgroups say.
    pub container: Container,
    /// Facts about the process that opened the file.
    pub reader: Reader,
}

/// Facts about the host that do not come from the file asked for.
#[derive(Debug, Clone)]
pub struct Host {
    /// CPUs that are online; `/sys/devices/system/cpu/online`. Empty when neither CPUs nor
    /// load are asked for.
    pub online: CpuList,
    /// The host's memory sizes, from `/proc/meminfo`; all 0 when not asked for.
    pub memory: HostMemory,
    /// The memory nodes in ascending order; empty when not asked for, and on a
    /// kernel without NUMA.
    pub nodes: Vec<Node>,
    /// The block device that the file asked for is about; `None` when not asked for,
    /// and when the kernel does not say.
    pub device: Option<Device>,
    /// Bytes of a page (`_SC_PAGESIZE`).
    pub page_size: u64,
    /// Kernel clock ticks per second for `/proc` files (`_SC_CLK_TCK`); 100 everywhere today.
    pub ticks_per_second: u64,
}

/// What one container's cgroups say; a part is `None` when it was not needed or
/// its controller is not there.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// Memory and swap.
    pub memory: Option<Memory>,
    /// CPU limits and use.
    pub cpu: Option<Cpu>,
    /// Processes and threads.
    pub tasks: Option<Tasks>,
    /// Load averages.
    pub load: Option<Load>,
    /// Block IO since the group was made; a device that was not used is not there.
    pub io: Option<IoUsage>,
    /// The text of the one `*.pressure` file that was needed; cgroup2 only.
    pub pressure: Option<String>,
    /// When the container began: nanoseconds of the host's `CLOCK_BOOTTIME`.
    ///
    /// Source: the start time of the init of its pid namespace; without one,
    /// the oldest process of its group.
    pub started_ns: Option<u64>,
}

/// Memory of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The container's own group first, then each ancestor below the root.
    pub levels: OfLevels<MemoryLevel>,
    /// The container's own `memory.stat`; `None` when not asked for.
    pub stat: Option<MemoryStat>,
}

/// CPU limits and use of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Bandwidth of the container's own group first, then of each ancestor below the root;
    /// levels that limit nothing are left out.
    pub bandwidth: OfLevels<Bandwidth>,
    /// The *effective* cpuset: what the scheduler uses, not what was asked for.
    /// `None` without a cpuset controller.
    pub cpuset: Option<CpuList>,
    /// Memory nodes that may be used; `None` without a cpuset controller, and
    /// when not asked for.
    pub memory_nodes: Option<CpuList>,
    /// CPU time used so far; `None` when not asked for.
    pub usage: Option<CpuUsage>,
}

/// Processes and threads of a container, its descendants included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Threads that run or wait for a CPU.
    pub running: u64,
    /// Threads in uninterruptible sleep.
    pub blocked: u64,
    /// All threads.
    pub total: u64,
    /// The largest process id in use, as the container's pid namespace numbers it.
    pub last_pid: u64,
}

/// Load averages over 1, 5 and 15 minutes, in the kernel's fixed point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// 1, 5 and 15 minutes; 2048 (`FIXED_1`) is a load of one.
    pub averages: [u64; 3],
}

/// Facts about the process that opened the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reader {
    /// What its time namespace adds to the host's `CLOCK_BOOTTIME`, in
    /// nanoseconds; `None` when it is in the host's time namespace.
    pub boottime_offset_ns: Option<i64>,
}
