//! The controllers whose files are read, by their names in both versions.

/// A resource controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Memory and swap.
    Memory,
    /// CPU bandwidth.
    Cpu,
    /// CPU time; in v2 a part of every group, whether `cpu` is enabled or not.
    Cpuacct,
    /// Which CPUs and memory nodes may be used.
    Cpuset,
    /// Number of tasks.
    Pids,
    /// Block devices; v2 calls it `io`.
    Blkio,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 6] =
        [Self::Memory, Self::Cpu, Self::Cpuacct, Self::Cpuset, Self::Pids, Self::Blkio];

    /// The name in `/proc/PID/cgroup`, as a mount option and as prefix of v1 files.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Blkio => "blkio",
        }
    }
}
