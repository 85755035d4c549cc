//! What each line of a container's `/proc/vmstat` says.
//!
//! Gauges of pages are the container's or absent. Faults are the container's.
//! Other counters of events since boot stay the host's: no cgroup counts them,
//! and they tell no size.

use super::pages::{self, Counter};
use super::{disks, memory};
use crate::readings::{Memory, Sample};

/// One line of the container's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A counter of the container's.
    Count {
        /// Its name.
        name: &'a str,
        /// Its value.
        count: u64,
    },
    /// The host's line, as it is.
    AsIs(&'a str),
}

/// The lines of a container's file.
pub fn lines<'a>(sample: &'a Sample, memory: &Memory) -> Vec<Line<'a>> {
    let sizes = memory::sizes(memory, &sample.host.memory);
    let stat = memory.stat.unwrap_or_default();
    let event = |name| match name {
        "pgfault" => stat.pgfault.map(Counter::Count),
        "pgmajfault" => stat.pgmajfault.map(Counter::Count),
        _another => disks::paged(name, sample.container.io.as_ref()).map(Counter::Count),
    };
    let shown = |line: &'a str| {
        let (name, _) = line.split_once(' ').unwrap_or((line, ""));
        let counter = pages::gauge(name, &sizes, &stat, sample.host.page_size);
        match counter.or_else(|| event(name)) {
            Some(Counter::Count(count)) => Some(Line::Count { name, count }),
            Some(Counter::Absent) => None,
            None => Some(Line::AsIs(line)),
        }
    };
    sample.host_text.lines().filter_map(shown).collect()
}

/// The lines of a memory node's file. Gauges are told where the machine has one
/// node only: then it is all there. No line of `memory.stat` tells nodes apart.
pub fn lines_of_node<'a>(sample: &'a Sample, memory: &Memory) -> Vec<Line<'a>> {
    if sample.host.nodes.len() == 1 {
        return lines(sample, memory);
    }
    let is_gauge = |line: &&str| line.starts_with("nr_");
    sample.host_text.lines().filter(|line| !is_gauge(line)).map(Line::AsIs).collect()
}

#[cfg(test)]
mod tests {
    use cgroupfs::cpu_list::CpuList;
    use cgroupfs::limit::Limit;
    use cgroupfs::memory_stat::MemoryStat;

    use super::*;
    use crate::readings::MemoryLevel;
    use crate::view::samples;

    #[test]
    fn gauges_are_the_containers_or_absent_and_events_stay() {
        let host = "nr_free_pages 1000000\nnr_mapped 500\nnr_zspages 7\npgfault 99\npgfree 5\n";
        let mut sample = samples::sample(host);
        sample.host.memory.free = 8 << 30;
        let level = MemoryLevel { limit: Limit::AtMost(1 << 30), usage: 1 << 29, swap: None };
        let stat =
            MemoryStat { file_mapped: Some(8192), pgfault: Some(3), ..MemoryStat::default() };
        let memory = Memory { levels: vec![level].into(), stat: Some(stat) };
        let expected = [
            Line::Count { name: "nr_free_pages", count: 131_072 },
            Line::Count { name: "nr_mapped", count: 2 },
            Line::Count { name: "pgfault", count: 3 },
            Line::AsIs("pgfree 5"),
        ];
        assert_eq!(lines(&sample, &memory), expected);
    }
    #[test]
    fn gauges_of_one_node_of_several_are_absent() {
        let node = |id| crate::host::node::Node { id, cpus: CpuList::default(), memory: 1 };
        let of_nodes = |nodes: Vec<_>| {
            let mut sample = samples::sample("nr_free_pages 9\nnuma_hit 3\n");
            sample.host.nodes = nodes;
            let memory = Memory { levels: Default::default(), stat: None };
            lines_of_node(&sample, &memory).len()
        };
        assert_eq!(of_nodes(vec![node(0)]), 2);
        assert_eq!(of_nodes(vec![node(0), node(1)]), 1);
        assert_eq!(of_nodes(vec![]), 1);
    }
}
