//! The host's memory nodes: `/sys/devices/system/node/node*`.
//!
//! Kernel source of truth: drivers/base/node.c.

use cgroupfs::cpu_list::CpuList;

use super::meminfo;

/// A memory node: memory and the CPUs close to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: u32,
    /// Its CPUs that are online; `cpulist`.
    pub cpus: CpuList,
    /// Its `MemTotal`, in bytes; 0 for a node of CPUs only.
    pub memory: u64,
}

/// One line of a node's `meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// `Node 0 `, as on the line.
    pub node: &'a str,
    /// The rest, in the format of `/proc/meminfo`.
    pub line: meminfo::Line<'a>,
}

/// The lines of a node's `meminfo`, in order; a line that does not begin with the
/// node has an empty one.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().map(|text| {
        let (node, rest) = split_node(text).unwrap_or(("", text));
        Line { node, line: meminfo::line(rest) }
    })
}

fn split_node(text: &str) -> Option<(&str, &str)> {
    let number = text.strip_prefix("Node ")?;
    text.split_at_checked(text.len() - number.len() + number.find(' ')? + 1)
}

/// The node's number in the text of its `meminfo`.
pub fn id(text: &str) -> Option<u32> {
    text.strip_prefix("Node ")?.split(' ').next()?.parse().ok()
}

/// The node's `MemTotal` in the text of its `meminfo`, in bytes.
pub fn memory(text: &str) -> u64 {
    let total = lines(text).find(|line| line.line.name == "MemTotal");
    total.and_then(|line| line.line.kib()).map_or(0, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_meminfo_behind_the_node() {
        let text = "Node 12 MemTotal:        3054632 kB\nNode 12 HugePages_Total:     0\n";
        let first = lines(text).next().unwrap();
        assert_eq!((first.node, first.line.name), ("Node 12 ", "MemTotal"));
        assert_eq!(first.line.text, "MemTotal:        3054632 kB");
        assert_eq!((id(text), memory(text)), (Some(12), 3_054_632 << 10));
        assert_eq!((id("MemTotal: 1 kB"), memory("")), (None, 0));
    }
}
