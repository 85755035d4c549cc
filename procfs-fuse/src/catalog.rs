//! The files that the daemon serves: a table, so that another file is another row.
//!
//! A row says where the file is, what the kernel's own file allows, what must be
//! read for it, and the pure function from readings to text. The tree of
//! directories is derived from the paths.
//!
//! The functions below the table are the whole way of a file: view, then
//! render. Where a reading is missing the host's text is served as it is: a
//! container is never worse off than without us.

use crate::history::History;
use crate::readings::{Needs, Sample};
use crate::{render, view};

/// One file of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Path below the mount point and below `/`: `"proc/meminfo"`. In a directory
    /// that is served as a [whole](WHOLE) it is a pattern, see [`matches()`]. Elsewhere
    /// a `*` is a link of the kernel's: each file is served where that leads.
    pub path: &'static str,
    /// Permission bits of the kernel's own file.
    pub mode: u16,
    /// What must be read before [`render`](Self::render) can run.
    pub needs: Needs,
    /// From readings to the text of the file; infallible and without IO.
    pub render: fn(&Sample, &mut History, &mut String),
    /// Which row of the catalogue this is; the first is 0.
    pub row: usize,
}

/// Directories that are served, and mounted, as a whole: what is in them depends
/// on who looks, so a single file of them is not enough. All that the host has
/// there is served, by the first row of the catalogue that matches.
pub static WHOLE: &[&str] =
    &["sys/devices/system/cpu", "sys/devices/system/memory", "sys/devices/system/node"];

/// What is not served in directories that are served as a whole.
pub static HIDDEN: &[&str] = &[
    // Engines mask it by mounting on it, and nothing may be mounted in there.
    "sys/devices/system/cpu/cpu*/thermal_throttle",
    // Named by the host's CPUs; the same files are in `cpu*/cpufreq`.
    "sys/devices/system/cpu/cpufreq/policy*",
];

/// Every file; what is an exception of a pattern comes before it. A host may lack some.
pub static CATALOG: &[Entry] = &numbered([
    public("proc/buddyinfo", Needs::empty(), nothing),
    public("proc/cpuinfo", Needs::CPU_LIMITS, cpuinfo),
    public("proc/diskstats", Needs::IO, diskstats),
    public("proc/interrupts", Needs::CPU_LIMITS, cpu_columns),
    public("proc/loadavg", Needs::TASKS.union(Needs::LOAD).union(Needs::START), loadavg),
    public("proc/meminfo", MEMORY_USE, meminfo),
    private("proc/pagetypeinfo", Needs::empty(), pagetypeinfo),
    public("proc/partitions", Needs::IO, partitions),
    public("proc/pressure/cpu", Needs::CPU_PRESSURE, pressure),
    public("proc/pressure/io", Needs::IO_PRESSURE, pressure),
    public("proc/pressure/irq", Needs::IRQ_PRESSURE, pressure),
    public("proc/pressure/memory", Needs::MEMORY_PRESSURE, pressure),
    public("proc/schedstat", Needs::CPU_LIMITS, schedstat),
    private("proc/slabinfo", Needs::empty(), slabinfo),
    public("proc/softirqs", Needs::CPU_LIMITS, cpu_columns),
    public("proc/stat", CPU_TIME.union(Needs::TASKS).union(Needs::READER), stat),
    public("proc/swaps", Needs::MEMORY, swaps),
    public("proc/uptime", CPU_TIME.union(Needs::READER), uptime),
    public("proc/vmstat", MEMORY_USE.union(Needs::IO), vmstat),
    public("proc/zoneinfo", MEMORY_USE.union(Needs::CPU_LIMITS), zoneinfo),
    public("sys/block/*/stat", Needs::IO.union(Needs::DEVICE), block_stat),
    public("sys/devices/system/cpu/cpu*/cache/*/shared_cpu_list", Needs::CPU_LIMITS, cpu_list),
    public("sys/devices/system/cpu/cpu*/cache/*/shared_cpu_map", Needs::CPU_LIMITS, cpu_mask),
    public("sys/devices/system/cpu/cpu*/cpufreq/*_cpus", Needs::CPU_LIMITS, cpu_words),
    public("sys/devices/system/cpu/cpu*/topology/*_list", Needs::CPU_LIMITS, cpu_list),
    public("sys/devices/system/cpu/cpu*/topology/*_cpus", Needs::CPU_LIMITS, cpu_mask),
    public("sys/devices/system/cpu/cpu*/topology/*_siblings", Needs::CPU_LIMITS, cpu_mask),
    public("sys/devices/system/cpu/enabled", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/cpu/isolated", Needs::CPU_LIMITS, cpu_list),
    public("sys/devices/system/cpu/nohz_full", Needs::CPU_LIMITS, cpu_list),
    public("sys/devices/system/cpu/offline", Needs::CPU_LIMITS, offline_cpus),
    public("sys/devices/system/cpu/online", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/cpu/present", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/cpu/**", Needs::empty(), hosts),
    public("sys/devices/system/memory/**", Needs::empty(), hosts),
    public("sys/devices/system/node/has_cpu", NODES, nodes_with_cpus),
    public("sys/devices/system/node/has_memory", NODES, nodes_with_memory),
    public("sys/devices/system/node/has_normal_memory", NODES, nodes_with_memory),
    public("sys/devices/system/node/node*/cpulist", Needs::CPU_LIMITS, cpu_list),
    public("sys/devices/system/node/node*/cpumap", Needs::CPU_LIMITS, cpu_mask),
    public("sys/devices/system/node/node*/meminfo", MEMORY_USE.union(NODES), node_meminfo),
    public("sys/devices/system/node/node*/vmstat", MEMORY_USE.union(NODES), node_vmstat),
    public("sys/devices/system/node/online", NODES, nodes_online),
    public("sys/devices/system/node/**", Needs::empty(), hosts),
]);

/// A number that stands for the rows and their order: another one in a version that has
/// others.
pub fn fingerprint() -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = CATALOG.iter().flat_map(|entry| entry.path.bytes().chain([0]));
    bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)) // FNV-1a
}

const MEMORY_USE: Needs = Needs::MEMORY.union(Needs::MEMORY_STAT);
const NODES: Needs = Needs::NODES.union(Needs::CPU_LIMITS);
const CPU_TIME: Needs = Needs::CPU_LIMITS.union(Needs::CPU_USAGE).union(Needs::START);

/// The rows with their numbers.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, and would refuse")]
const fn numbered<const N: usize>(mut rows: [Entry; N]) -> [Entry; N] {
    let mut row = 0;
    while row < N {
        rows[row].row = row;
        row += 1;
    }
    rows
}

/// A file that everybody may read and nobody may write.
const fn public(
    path: &'static str,
    needs: Needs,
    render: fn(&Sample, &mut History, &mut String),
) -> Entry {
    Entry { path, mode: 0o444, needs, render, row: 0 }
}

/// A file that only its owner may read.
const fn private(
    path: &'static str,
    needs: Needs,
    render: fn(&Sample, &mut History, &mut String),
) -> Entry {
    Entry { path, mode: 0o400, needs, render, row: 0 }
}

/// True when `path` is one of those that `pattern` stands for: a `*` is any part
/// of a name, and `**` at the end is anything below.
pub fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) | (Some("**"), Some(_)) => return true,
            (Some(pattern), Some(name)) if is_like(pattern, name) => {}
            _different => return false,
        }
    }
}

fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == name,
    }
}

fn block_stat(sample: &Sample, _history: &mut History, out: &mut String) {
    let (Some(io), Some(device)) = (&sample.container.io, &sample.host.device) else {
        return out.push_str(&sample.host_text);
    };
    render::diskstats::block_stat(&view::disks::of(&sample.host_text, device, io), out);
}

fn cpu_columns(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    render::cpu_columns::cpu_columns(&view::cpu_columns::lines(&sample.host_text, &visible), out);
}

fn cpuinfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    render::cpuinfo::cpuinfo(view::cpuinfo::parts(&sample.host_text, &visible), out);
}

fn diskstats(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(io) = &sample.container.io else { return out.push_str(&sample.host_text) };
    render::diskstats::diskstats(&view::disks::used(&sample.host_text, io), out);
}

fn loadavg(sample: &Sample, _history: &mut History, out: &mut String) {
    match view::loadavg::load_average(sample) {
        Some(load) => render::loadavg::loadavg(&load, out),
        None => out.push_str(&sample.host_text),
    }
}

fn meminfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    let lines = view::meminfo::lines(&sample.host_text, memory, &sample.host.memory);
    render::meminfo::meminfo(lines, out);
}

fn nothing(_sample: &Sample, _history: &mut History, _out: &mut String) {}

fn pagetypeinfo(sample: &Sample, _history: &mut History, out: &mut String) {
    for line in view::free_pages::page_blocks(&sample.host_text) {
        out.extend([line, "\n"]);
    }
}

fn partitions(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(io) = &sample.container.io else { return out.push_str(&sample.host_text) };
    for line in view::disks::partitions(&sample.host_text, io) {
        out.extend([line, "\n"]);
    }
}

fn pressure(sample: &Sample, _history: &mut History, out: &mut String) {
    out.push_str(sample.container.pressure.as_deref().unwrap_or(&sample.host_text));
}

fn schedstat(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    render::schedstat::schedstat(&view::schedstat::lines(&sample.host_text, &visible), out);
}

fn slabinfo(sample: &Sample, _history: &mut History, out: &mut String) {
    for line in view::slabinfo::heading(&sample.host_text) {
        out.extend([line, "\n"]);
    }
}

fn stat(sample: &Sample, history: &mut History, out: &mut String) {
    render::stat::stat(view::stat::lines(sample, history), out);
}

fn swaps(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::swaps::swaps(&view::swaps::area(memory, &sample.host.memory), out);
}

fn uptime(sample: &Sample, history: &mut History, out: &mut String) {
    match view::uptime::uptime(sample, history) {
        Some(uptime) => render::uptime::uptime(&uptime, out),
        None => out.push_str(&sample.host_text),
    }
}

fn vmstat(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::vmstat::vmstat(&view::vmstat::lines(sample, memory), out);
}

fn zoneinfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::zoneinfo::zoneinfo(&view::zoneinfo::lines(sample, memory), out);
}

fn cpu_list(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    match view::cpu_lists::renumbered_text(&sample.host_text, &visible) {
        Some(list) => render::cpu_list::cpu_list(&list, out),
        None => out.push_str(&sample.host_text),
    }
}

fn offline_cpus(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    match view::cpu_lists::offline(&sample.host_text, &sample.host.online, &visible) {
        Some(list) => render::cpu_list::cpu_list(&list, out),
        None => out.push_str(&sample.host_text),
    }
}

fn cpus(sample: &Sample, _history: &mut History, out: &mut String) {
    render::cpu_list::cpu_list(&view::cpu::visible(sample).ids(), out);
}

fn cpu_mask(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    match view::cpu_lists::renumbered_mask(&sample.host_text, &visible) {
        Some(mask) => render::cpu_mask::cpu_mask(&mask.cpus, mask.digits, out),
        None => out.push_str(&sample.host_text),
    }
}

fn cpu_words(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    match view::cpu_lists::renumbered_words(&sample.host_text, &visible) {
        Some(list) => render::cpu_list::cpu_words(&list, out),
        None => out.push_str(&sample.host_text),
    }
}

fn hosts(sample: &Sample, _history: &mut History, out: &mut String) {
    out.push_str(&sample.host_text);
}

fn nodes_with_cpus(sample: &Sample, _history: &mut History, out: &mut String) {
    render::cpu_list::cpu_list(&view::nodes::with_cpus(sample), out);
}

fn nodes_with_memory(sample: &Sample, _history: &mut History, out: &mut String) {
    render::cpu_list::cpu_list(&view::nodes::with_memory(sample), out);
}

fn nodes_online(sample: &Sample, _history: &mut History, out: &mut String) {
    render::cpu_list::cpu_list(&view::nodes::online(sample), out);
}

fn node_meminfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::meminfo::node_meminfo(&view::nodes::meminfo(sample, memory), out);
}

fn node_vmstat(sample: &Sample, _history: &mut History, out: &mut String) {
    let Some(memory) = &sample.container.memory else { return out.push_str(&sample.host_text) };
    render::vmstat::vmstat(&view::vmstat::lines_of_node(sample, memory), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        assert_eq!(matches(pattern, path), expected, "{path} like {pattern}");
    }

    #[test]
    fn rows_are_numbered_and_can_all_be_counted() {
        assert!(CATALOG.iter().enumerate().all(|(row, entry)| entry.row == row));
        assert!(CATALOG.len() <= crate::shared::counters::ROWS);
    }

    #[test]
    fn a_star_is_any_part_of_one_name() {
        check("a/cpu*/x", "a/cpu*/x", true);
        check("a/node*/x", "a/node12/x", true);
        check("a/*_list", "a/core_cpus_list", true);
        check("a/*_list", "a/core_cpus", false);
        check("a/node*/x", "a/node0/b/x", false);
        check("a/node*", "a", false);
        check("a/ab*bc", "a/abc", false);
    }

    #[test]
    fn two_stars_are_everything_below() {
        check("a/**", "a/b", true);
        check("a/**", "a/b/c", true);
        check("a/**", "a", false);
        check("a/**", "b/c", false);
    }
}
