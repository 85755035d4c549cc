//! What the numbers in names mean to whoever looks: those of CPUs, and those of
//! blocks of memory.
//!
//! A container counts its CPUs from 0, whichever they are. Blocks keep the host's
//! numbers, which are addresses; a container has the first so many of them that
//! its memory fits into.

use std::fs;
use std::path::Path;

use cgroupfs::cpu_list::CpuList;

/// What the kernel names by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbered {
    /// `cpu12`.
    Cpu,
    /// `memory12`: a part of the machine's memory that is plugged in as one.
    MemoryBlock,
}

impl Numbered {
    const ALL: [Self; 2] = [Self::Cpu, Self::MemoryBlock];

    /// What stands for all of them in a path.
    pub const fn any(self) -> &'static str {
        match self {
            Self::Cpu => "cpu*",
            Self::MemoryBlock => "memory*",
        }
    }

    /// What is called `name` where one name stands for all of them.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|numbered| numbered.any() == name)
    }

    /// What `path` is about, with what stands before the name in it.
    pub fn in_path(path: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|numbered| {
            let (before, _after) = path.split_once(numbered.any())?;
            Some((numbered, before))
        })
    }

    /// What is called `name`, and its number: CPU 12 is `cpu12`.
    pub fn in_name(name: &str) -> Option<(Self, u32)> {
        Self::ALL.into_iter().find_map(|numbered| Some((numbered, numbered.number_in(name)?)))
    }

    fn number_in(self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.any().trim_end_matches('*'))?;
        let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
        digits.parse().ok().filter(|_number| is_plain)
    }

    /// The numbers of those that have a name in `dir`, ascending.
    pub(super) fn all_in(self, dir: &Path) -> Vec<u32> {
        let names = fs::read_dir(dir).into_iter().flatten();
        let number = |name: fs::DirEntry| self.number_in(name.file_name().to_str()?);
        let mut numbers: Vec<u32> = names.filter_map(|name| number(name.ok()?)).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Which of the host's somebody's numbers stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// The host's own: everybody who is in no container, or cannot be identified.
    Hosts,
    /// A container's CPUs: the first of these is its CPU 0, the next its CPU 1, ...
    Cpus(CpuList),
    /// A container's blocks of memory, by the host's numbers, ascending.
    MemoryBlocks(Vec<u32>),
}

impl Numbers {
    /// The blocks of the machine below `root` that a container with `bytes` of
    /// memory has; `None` when the kernel does not tell how large they are.
    pub(super) fn of_memory_blocks(root: &Path, bytes: u64) -> Option<Self> {
        let dir = root.join("sys/devices/system/memory");
        let block_size = fs::read_to_string(dir.join("block_size_bytes")).ok()?;
        let block_size =
            u64::from_str_radix(block_size.trim(), 16).ok().filter(|size| *size > 0)?;
        let mut blocks = Numbered::MemoryBlock.all_in(&dir);
        blocks.truncate(usize::try_from(bytes.div_ceil(block_size)).ok()?.max(1));
        Some(Self::MemoryBlocks(blocks))
    }

    /// The host's number for `number`; `None` when there is no such thing.
    pub fn physical(&self, number: u32) -> Option<u32> {
        match self {
            Self::Hosts => Some(number),
            Self::Cpus(physical) => physical.iter().nth(usize::try_from(number).ok()?),
            Self::MemoryBlocks(blocks) => blocks.contains(&number).then_some(number),
        }
    }

    /// The numbers of those of which the host has a name in its directory `dir`,
    /// ascending.
    pub fn in_directory(&self, numbered: Numbered, dir: &Path) -> Vec<u32> {
        let hosts = numbered.all_in(dir);
        match self {
            Self::Hosts => hosts,
            Self::Cpus(physical) => (0..)
                .zip(physical.iter())
                .filter_map(|(number, id)| hosts.contains(&id).then_some(number))
                .collect(),
            Self::MemoryBlocks(blocks) => {
                hosts.into_iter().filter(|block| blocks.contains(block)).collect()
            }
        }
    }

    /// Where the host has what is at `path`, in which one part may be `cpu*` or
    /// `memory*`, for `number`; `None` when there is no such thing.
    pub fn path(&self, path: &str, number: Option<u32>) -> Option<String> {
        match number {
            Some(number) => Some(path_of(path, self.physical(number)?)),
            None => Some(path.to_owned()),
        }
    }
}

/// Where the host has, for its CPU or block `physical`, what is at `path`.
pub fn path_of(path: &str, physical: u32) -> String {
    path.replacen('*', &physical.to_string(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &Numbers, number: u32, path: Option<&str>, listed: &[u32]) {
        let node = tempfile::tempdir().unwrap();
        for name in ["cpu2", "cpu10", "cpufreq", "cpu3"] {
            std::fs::create_dir(node.path().join(name)).unwrap();
        }
        assert_eq!(numbers.path("a/cpu*/x", Some(number)).as_deref(), path);
        assert_eq!(numbers.path("a/x", None).as_deref(), Some("a/x"));
        assert_eq!(numbers.in_directory(Numbered::Cpu, node.path()), listed);
    }

    #[test]
    fn the_host_counts_as_the_host() {
        check(&Numbers::Hosts, 7, Some("a/cpu7/x"), &[2, 3, 10]);
    }

    #[test]
    fn a_container_counts_from_0() {
        let container = Numbers::Cpus([1, 3, 10].into_iter().collect());
        check(&container, 2, Some("a/cpu10/x"), &[1, 2]);
        check(&container, 3, None, &[1, 2]);
    }

    #[test]
    fn a_container_has_the_first_blocks() {
        let machine = tempfile::tempdir().unwrap();
        let dir = machine.path().join("sys/devices/system/memory");
        // There is a hole below 4 GiB, for devices.
        for block in ["memory0", "memory1", "memory32", "memory33"] {
            fs::create_dir_all(dir.join(block)).unwrap();
        }
        assert_eq!(Numbers::of_memory_blocks(machine.path(), 1), None);
        fs::write(dir.join("block_size_bytes"), "8000000\n").unwrap();
        let mib = 1 << 20;
        for (bytes, expected) in
            [(1, &[0][..]), (128 * mib, &[0]), (300 * mib, &[0, 1, 32]), (1 << 40, &[0, 1, 32, 33])]
        {
            let blocks = Numbers::of_memory_blocks(machine.path(), bytes).unwrap();
            assert_eq!(blocks.in_directory(Numbered::MemoryBlock, &dir), expected, "{bytes}");
            let has = |block| blocks.physical(block) == Some(block);
            assert!(has(0) && has(1) == expected.contains(&1) && !has(34), "{bytes}");
        }
    }

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(Numbered::in_name("cpu0"), Some((Numbered::Cpu, 0)));
        assert_eq!(Numbered::in_name("cpu120"), Some((Numbered::Cpu, 120)));
        assert_eq!(Numbered::in_name("memory32"), Some((Numbered::MemoryBlock, 32)));
        for name in ["cpu", "cpu01", "cpu+1", "cpu-1", "cpu1x", "cpufreq", "cpu99999999999", "1"] {
            assert_eq!(Numbered::in_name(name), None, "{name}");
        }
    }
}
