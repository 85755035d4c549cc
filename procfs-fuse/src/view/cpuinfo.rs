//! Which blocks of `/proc/cpuinfo` a container sees, and what is new in them.
//!
//! The blocks of its physical CPUs, numbered 0..N-1. What counts CPUs
//! (`siblings`, `cpu cores`) counts the visible ones. What names hardware
//! (`physical id`, `core id`, `apicid`, the model, the MHz of the moment) stays:
//! these are labels, with gaps on real machines too, and sysfs has the same.

use smallvec::SmallVec;

use super::cpu::Visible;
use crate::host::cpuinfo::Block;
pub use crate::host::cpuinfo::Count;
use crate::readings::HostText;

/// A part of the container's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The block of a CPU, with the numbers that replace those in it.
    Cpu {
        /// The host's text.
        text: &'a str,
        /// The block, and where its numbers are in that text.
        block: &'a Block,
        /// `processor`: the number that the container knows the CPU by.
        number: u32,
        /// `siblings`: visible CPUs in its package.
        siblings: usize,
        /// `cpu cores`: cores of its package with a visible CPU.
        cores: usize,
    },
    /// What is about the whole machine.
    AsIs(&'a str),
}

/// A visible CPU; more than 16 of them need the allocator.
type Cpus = SmallVec<[Cpu; 16]>;

/// Where a visible CPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cpu {
    package: Option<u32>,
    core: Option<u32>,
    /// No CPU before it is in the same core.
    is_first_of_core: bool,
}

/// The parts of a container's file.
pub fn parts<'a>(host: &'a HostText, visible: &'a Visible) -> impl Iterator<Item = Part<'a>> {
    let is_shown = |block: &&Block| block.processor.is_none_or(|id| visible.physical.contains(id));
    let shown = host.cpuinfo().iter().filter(is_shown);
    let cpus = cpus(shown.clone());
    let mut number = 0;
    shown.map(move |block| {
        let cpu = block.processor.and_then(|_id| cpus.get(number as usize));
        let Some(cpu) = cpu else {
            return Part::AsIs(host.get(block.span.clone()).unwrap_or_default());
        };
        let (siblings, cores) = count_package(cpu.package, &cpus);
        number += 1;
        Part::Cpu { text: host, block, number: number - 1, siblings, cores }
    })
}

fn cpus<'a>(shown: impl Iterator<Item = &'a Block>) -> Cpus {
    let mut cpus = Cpus::new();
    for Block { package, core, .. } in shown.filter(|block| block.processor.is_some()) {
        let is_there = |other: &Cpu| other.package == *package && other.core == *core;
        let is_first_of_core = !cpus.iter().any(is_there);
        cpus.push(Cpu { package: *package, core: *core, is_first_of_core });
    }
    cpus
}

/// Visible CPUs and cores in `package`.
fn count_package(package: Option<u32>, cpus: &[Cpu]) -> (usize, usize) {
    let in_package = || cpus.iter().filter(|cpu| cpu.package == package);
    (in_package().count(), in_package().filter(|cpu| cpu.is_first_of_core).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packages of two cores, the first with two threads per core.
    const HOST: &str = "\
processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\n
processor\t: 1\nphysical id\t: 0\ncore id\t\t: 0\n
processor\t: 2\nphysical id\t: 0\ncore id\t\t: 8\n
processor\t: 3\nphysical id\t: 1\ncore id\t\t: 0\n
timebase\t: 1\n";

    #[track_caller]
    fn check(physical: &str, expected: &[(u32, &str, usize, usize)]) {
        let visible = Visible { physical: cgroupfs::cpu_list::parse(physical).unwrap() };
        let host = HostText::from(HOST);
        let parts: Vec<_> = parts(&host, &visible).collect();
        let cpus: Vec<_> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Cpu { text, block, number, siblings, cores } => {
                    Some((*number, text[block.span.clone()].lines().next()?, *siblings, *cores))
                }
                Part::AsIs(_) => None,
            })
            .collect();
        assert_eq!(cpus, expected);
        assert_eq!(parts.last(), Some(&Part::AsIs("timebase\t: 1\n")));
    }

    #[test]
    fn cpus_are_numbered_anew_and_packages_counted_anew() {
        let host = ["processor\t: 0", "processor\t: 1", "processor\t: 2", "processor\t: 3"];
        let all = [(0, host[0], 3, 2), (1, host[1], 3, 2), (2, host[2], 3, 2), (3, host[3], 1, 1)];
        check("0-3", &all);
        check("1-2", &[(0, host[1], 2, 2), (1, host[2], 2, 2)]);
        check("0-1", &[(0, host[0], 2, 1), (1, host[1], 2, 1)]);
        check("2-3", &[(0, host[2], 1, 1), (1, host[3], 1, 1)]);
    }
}
