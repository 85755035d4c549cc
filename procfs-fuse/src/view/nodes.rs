//! Which memory nodes a container sees, and what is its part of each.
//!
//! Nodes keep their numbers: memory policies (`mbind`, `get_mempolicy`) speak of
//! them unchanged. A node is shown when the container may use its memory or sees
//! one of its CPUs. The container's memory is spread over the nodes it may use
//! in proportion to their size.

use cgroupfs::cpu_list::CpuList;

use super::cpu;
use super::meminfo::{Line as MeminfoLine, Source, source};
use super::memory::{self, Sizes};
use crate::host::meminfo::Field;
use crate::host::node::{self, Node};
use crate::readings::{Memory, Sample};

/// Nodes with a visible CPU.
pub fn with_cpus(sample: &Sample) -> CpuList {
    let visible = cpu::visible(sample).physical;
    let has_cpu = |node: &&Node| !node.cpus.intersection(&visible).is_empty();
    sample.host.nodes.iter().filter(has_cpu).map(|node| node.id).collect()
}

/// Nodes whose memory the container may use.
pub fn with_memory(sample: &Sample) -> CpuList {
    usable(sample).map(|node| node.id).collect()
}

/// Nodes of either kind: what is `online`.
pub fn online(sample: &Sample) -> CpuList {
    with_cpus(sample).iter().chain(with_memory(sample).iter()).collect()
}

fn usable(sample: &Sample) -> impl Iterator<Item = &Node> {
    let allowed = sample.container.cpu.as_ref().and_then(|cpu| cpu.memory_nodes.as_ref());
    let is_allowed = move |id| allowed.is_none_or(|allowed| allowed.contains(id));
    sample.host.nodes.iter().filter(move |node| node.memory > 0 && is_allowed(node.id))
}

/// One line of a node's `meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// `Node 0 `, as on the host's line.
    pub node: &'a str,
    /// The rest, as in `/proc/meminfo`.
    pub line: MeminfoLine<'a>,
}

/// The lines of the container's `meminfo` of the node that the host's text is about.
///
/// What memory is used for is told where the container uses one node only: then
/// it is all there. No line of `memory.stat` tells nodes apart.
pub fn meminfo<'a>(sample: &'a Sample, memory: &Memory) -> Vec<Line<'a>> {
    let part = part_of(sample, memory);
    let is_only = part.is_all;
    let stat = memory.stat.filter(|_| is_only).unwrap_or_default();
    let bytes = |field| match field {
        Field::MemUsed => Source::Container(part.sizes.total.saturating_sub(part.sizes.free)),
        // The kernel counts swapped pages that are in memory among them.
        Field::FilePages => stat.file.map_or(Source::Absent, |file| {
            Source::Container(file.saturating_add(stat.swapcached.unwrap_or(0)))
        }),
        _another => source(field, &part.sizes, &stat, &sample.host.memory),
    };
    let shown = |node::Line { node, line }| {
        let line = match bytes(line.field) {
            Source::Container(bytes) => MeminfoLine::Size { name: line.name, bytes },
            Source::Host => MeminfoLine::AsIs(line.text),
            Source::Absent => return None,
        };
        Some(Line { node, line })
    };
    node::lines(&sample.host_text).filter_map(shown).collect()
}

/// The container's part of one node.
struct Part {
    sizes: Sizes,
    /// No other node's memory may be used.
    is_all: bool,
}

/// The container's part of the node that the host's text is about: nothing of a
/// node whose memory it may not use.
fn part_of(sample: &Sample, memory: &Memory) -> Part {
    let sizes = memory::sizes(memory, &sample.host.memory);
    let id = node::id(&sample.host_text);
    let own = usable(sample).find(|node| Some(node.id) == id).map_or(0, |node| node.memory);
    let all: u64 = usable(sample).map(|node| node.memory).fold(0, u64::saturating_add);
    let part = |bytes: u64| {
        let part = u128::from(bytes) * u128::from(own) / u128::from(all.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    };
    let sizes = Sizes { total: part(sizes.total), free: part(sizes.free), ..sizes };
    Part { sizes, is_all: own > 0 && own == all }
}

#[cfg(test)]
mod tests {
    use cgroupfs::cpu_list;
    use cgroupfs::limit::Limit;
    use cgroupfs::memory_stat::MemoryStat;

    use super::*;
    use crate::readings::MemoryLevel;
    use crate::view::samples;

    const GIB: u64 = 1 << 30;

    /// A host with CPUs 0-1 and 6 GiB at node 0, CPUs 2-3 and 2 GiB at node 1.
    fn sample(host_text: &str, cpuset: &str, memory_nodes: &str) -> Sample {
        let mut sample = samples::used(host_text, 4, 0, 0);
        let list = |text| cpu_list::parse(text).unwrap();
        sample.host.nodes = vec![
            Node { id: 0, cpus: list("0-1"), memory: 6 * GIB },
            Node { id: 1, cpus: list("2-3"), memory: 2 * GIB },
        ];
        let cpu = sample.container.cpu.as_mut().unwrap();
        cpu.cpuset = Some(list(cpuset));
        cpu.memory_nodes = Some(list(memory_nodes));
        sample
    }

    #[track_caller]
    fn check(cpuset: &str, memory_nodes: &str, cpus: &str, memory: &str, all: &str) {
        let sample = sample("", cpuset, memory_nodes);
        let found = [with_cpus(&sample), with_memory(&sample), online(&sample)];
        assert_eq!(found.map(|list| list.to_string()), [cpus, memory, all]);
    }

    #[test]
    fn nodes_are_shown_for_their_cpus_or_their_memory() {
        check("0-3", "0-1", "0-1", "0-1", "0-1");
        check("2", "0", "1", "0", "0-1");
        check("0-1", "0", "0", "0", "0");
    }

    fn lines_of(node: u32, memory_nodes: &str) -> Vec<(&'static str, u64)> {
        let text = ["MemTotal", "MemFree", "MemUsed", "FilePages", "Mlocked"]
            .map(|name| format!("Node {node} {name}:  99999999 kB\n"))
            .concat();
        let sample = sample(text.leak(), "0-3", memory_nodes);
        let level = MemoryLevel { limit: Limit::AtMost(GIB), usage: GIB / 2, swap: None };
        let stat = MemoryStat { file: Some(4 << 20), ..MemoryStat::default() };
        let sample: &'static Sample = Box::leak(Box::new(sample));
        let memory = Memory { levels: vec![level].into(), stat: Some(stat) };
        let size = |line: Line<'static>| match line.line {
            MeminfoLine::Size { name, bytes } => (name, bytes >> 20),
            MeminfoLine::AsIs(text) => panic!("{text} is the host's"),
        };
        meminfo(sample, &memory).into_iter().map(size).collect()
    }

    #[test]
    fn memory_is_spread_over_the_nodes_that_may_be_used() {
        assert_eq!(lines_of(0, "0-1"), [("MemTotal", 768), ("MemFree", 0), ("MemUsed", 768)]);
        assert_eq!(lines_of(1, "0-1"), [("MemTotal", 256), ("MemFree", 0), ("MemUsed", 256)]);
        assert_eq!(lines_of(1, "0"), [("MemTotal", 0), ("MemFree", 0), ("MemUsed", 0)]);
        let all = [("MemTotal", 1024), ("MemFree", 0), ("MemUsed", 1024), ("FilePages", 4)];
        assert_eq!(lines_of(1, "1"), all);
    }
}
