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
    /// Path below the mount point and below `/`: `"proc/meminfo"`. A `*` stands
    /// for a number, one file for each that the host has there.
    pub path: &'static str,
    /// Permission bits of the kernel's own file.
    pub mode: u16,
    /// What must be read before [`render`](Self::render) can run.
    pub needs: Needs,
    /// From readings to the text of the file; infallible and without IO.
    pub render: fn(&Sample, &mut History, &mut String),
}

/// Every file, in the order in which a directory lists them. A host may lack some.
pub static CATALOG: &[Entry] = &[
    public("proc/cpuinfo", Needs::CPU_LIMITS, cpuinfo),
    public("proc/diskstats", Needs::IO, diskstats),
    public("proc/interrupts", Needs::CPU_LIMITS, cpu_columns),
    public("proc/loadavg", Needs::TASKS.union(Needs::LOAD).union(Needs::START), loadavg),
    public("proc/meminfo", MEMORY_USE, meminfo),
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
    public("sys/devices/system/cpu/enabled", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/cpu/isolated", Needs::CPU_LIMITS, renumbered_cpus),
    public("sys/devices/system/cpu/nohz_full", Needs::CPU_LIMITS, renumbered_cpus),
    public("sys/devices/system/cpu/offline", Needs::CPU_LIMITS, offline_cpus),
    public("sys/devices/system/cpu/online", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/cpu/present", Needs::CPU_LIMITS, cpus),
    public("sys/devices/system/node/has_cpu", NODES, nodes_with_cpus),
    public("sys/devices/system/node/has_memory", NODES, nodes_with_memory),
    public("sys/devices/system/node/has_normal_memory", NODES, nodes_with_memory),
    public("sys/devices/system/node/node*/cpulist", Needs::CPU_LIMITS, renumbered_cpus),
    public("sys/devices/system/node/node*/cpumap", Needs::CPU_LIMITS, renumbered_mask),
    public("sys/devices/system/node/node*/meminfo", MEMORY_USE.union(NODES), node_meminfo),
    public("sys/devices/system/node/online", NODES, nodes_online),
];

const MEMORY_USE: Needs = Needs::MEMORY.union(Needs::MEMORY_STAT);
const NODES: Needs = Needs::NODES.union(Needs::CPU_LIMITS);
const CPU_TIME: Needs = Needs::CPU_LIMITS.union(Needs::CPU_USAGE).union(Needs::START);

/// A file that everybody may read and nobody may write.
const fn public(
    path: &'static str,
    needs: Needs,
    render: fn(&Sample, &mut History, &mut String),
) -> Entry {
    Entry { path, mode: 0o444, needs, render }
}

/// A file that only its owner may read.
const fn private(
    path: &'static str,
    needs: Needs,
    render: fn(&Sample, &mut History, &mut String),
) -> Entry {
    Entry { path, mode: 0o400, needs, render }
}

fn cpu_columns(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    render::cpu_columns::cpu_columns(&view::cpu_columns::lines(&sample.host_text, &visible), out);
}

fn cpuinfo(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    render::cpuinfo::cpuinfo(&view::cpuinfo::parts(&sample.host_text, &visible), out);
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
    render::meminfo::meminfo(&lines, out);
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
    render::stat::stat(&view::stat::lines(sample, history), out);
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

fn renumbered_cpus(sample: &Sample, _history: &mut History, out: &mut String) {
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

fn renumbered_mask(sample: &Sample, _history: &mut History, out: &mut String) {
    let visible = view::cpu::visible(sample);
    match view::cpu_lists::renumbered_mask(&sample.host_text, &visible) {
        Some(mask) => render::cpu_mask::cpu_mask(&mask.cpus, mask.digits, out),
        None => out.push_str(&sample.host_text),
    }
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
