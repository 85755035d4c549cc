//! What the numbers of CPUs mean to whoever looks.

use std::path::Path;

use cgroupfs::cpu_list::CpuList;

use super::files::{cpus_in, path_of};

/// Which CPUs of the host somebody's numbers of CPUs stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuNumbers {
    /// The host's own: everybody who is in no container, or cannot be identified.
    Hosts,
    /// A container's: the first of these is its CPU 0, the next its CPU 1, ...
    Containers(CpuList),
}

impl CpuNumbers {
    /// The host's number of the CPU `number`; `None` when there is no such CPU.
    pub fn physical(&self, number: u32) -> Option<u32> {
        match self {
            Self::Hosts => Some(number),
            Self::Containers(physical) => physical.iter().nth(usize::try_from(number).ok()?),
        }
    }

    /// The numbers of the CPUs of which the host has something called `cpuN` in
    /// its directory `dir`, ascending.
    pub fn in_directory(&self, dir: &Path) -> Vec<u32> {
        let hosts = cpus_in(dir);
        match self {
            Self::Hosts => hosts,
            Self::Containers(physical) => (0..)
                .zip(physical.iter())
                .filter_map(|(number, id)| hosts.contains(&id).then_some(number))
                .collect(),
        }
    }

    /// Where the host has what is at `path`, in which one part may be `cpu*`, for
    /// the CPU `number`; `None` when there is no such CPU.
    pub fn path(&self, path: &str, number: Option<u32>) -> Option<String> {
        match number {
            Some(number) => Some(path_of(path, self.physical(number)?)),
            None => Some(path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &CpuNumbers, number: u32, path: Option<&str>, listed: &[u32]) {
        let node = tempfile::tempdir().unwrap();
        for name in ["cpu2", "cpu10", "cpufreq", "cpu3"] {
            std::fs::create_dir(node.path().join(name)).unwrap();
        }
        assert_eq!(numbers.path("a/cpu*/x", Some(number)).as_deref(), path);
        assert_eq!(numbers.path("a/x", None).as_deref(), Some("a/x"));
        assert_eq!(numbers.in_directory(node.path()), listed);
    }

    #[test]
    fn the_host_counts_as_the_host() {
        check(&CpuNumbers::Hosts, 7, Some("a/cpu7/x"), &[2, 3, 10]);
    }

    #[test]
    fn a_container_counts_from_0() {
        let container = CpuNumbers::Containers([1, 3, 10].into_iter().collect());
        check(&container, 2, Some("a/cpu10/x"), &[1, 2]);
        check(&container, 3, None, &[1, 2]);
    }
}
