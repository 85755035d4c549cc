//! What we write is read back as what was meant: a container's file, through the
//! parser of the host's.
//!
//! So it is when a daemon serves a container in which another daemon runs. The
//! host's files are a captured machine's; what the container has is drawn at random,
//! and a failure names its seed.

use std::num::NonZeroU64;

use cgroupfs::bandwidth::Bandwidth;
use cgroupfs::cpu_list::{self, CpuList};
use cgroupfs::io::{DeviceIo, IoUsage, Transfer};
use cgroupfs::limit::Limit;
use cgroupfs::memory_stat::MemoryStat;

use crate::history::History;
use crate::host::{cpu_columns, cpu_mask, cpuinfo, disks, meminfo, node, stat, zoneinfo};
use crate::numbers::Numbers;
use crate::readings::{Cpu, CpuUsage, Memory, MemoryLevel, Sample, SwapLevel};
use crate::view::cpu::{Visible, visible};
use crate::view::{self, samples};
use crate::{render, view::stat::Ticks};

macro_rules! host {
    ($file:literal) => {
        include_str!(concat!("../fixtures/6.12-v2-nested/host/proc/", $file))
    };
}

/// Containers that are drawn for each file.
const DRAWN: u64 = 2_000;

/// Runs `check` for many containers of the host that has `host_text`.
#[track_caller]
fn for_each(
    host_text: &str,
    check: impl Fn(&mut Sample, &mut Numbers) + std::panic::RefUnwindSafe,
) {
    for seed in 1..=DRAWN {
        let drawn = std::panic::catch_unwind(|| {
            let mut numbers = Numbers::new(seed);
            let mut sample = any_container(host_text, &mut numbers);
            check(&mut sample, &mut numbers);
        });
        assert!(drawn.is_ok(), "with seed {seed}");
    }
}

/// A host of 4 CPUs and its container.
fn any_container(host_text: &str, numbers: &mut Numbers) -> Sample {
    let mut sample = samples::sample(host_text);
    sample.host.memory = meminfo::parse(meminfo::lines(host!("meminfo")));
    let quotas = (0..numbers.below(3)).map(|_level| Bandwidth {
        quota_us: numbers.any(),
        period_us: NonZeroU64::new(1 + numbers.below(1_000_000)).unwrap(),
    });
    let bandwidth = quotas.collect();
    let cpuset = (numbers.below(2) > 0).then(|| any_cpus(numbers, 6));
    let usage = CpuUsage { user_ns: numbers.any(), system_ns: numbers.any() };
    sample.container.cpu = Some(Cpu { bandwidth, cpuset, memory_nodes: None, usage: Some(usage) });
    sample.container.started_ns = numbers.maybe();
    sample
}

/// Any CPUs with numbers below `bound`, or none.
fn any_cpus(numbers: &mut Numbers, bound: u32) -> CpuList {
    (0..bound).filter(|_id| numbers.below(3) > 0).collect()
}

fn any_memory(numbers: &mut Numbers) -> Memory {
    let limit = |bound: Option<u64>| bound.map_or(Limit::Unlimited, Limit::AtMost);
    let swap = SwapLevel { limit: limit(numbers.maybe()), usage: numbers.any() };
    let level =
        MemoryLevel { limit: limit(numbers.maybe()), usage: numbers.any(), swap: Some(swap) };
    let stat = MemoryStat { file: numbers.maybe(), anon: numbers.maybe(), ..MemoryStat::default() };
    Memory { levels: vec![level].into(), stat: Some(stat) }
}

fn in_kib(bytes: u64) -> u64 {
    bytes / 1024 * 1024
}

#[test]
fn meminfo_is_what_its_view_is() {
    for_each(host!("meminfo"), |sample, numbers| {
        let memory = any_memory(numbers);
        let sizes = view::memory::sizes(&memory, &sample.host.memory);
        let lines: Vec<_> =
            view::meminfo::lines(&sample.host_text, &memory, &sample.host.memory).collect();
        let mut text = String::new();
        render::meminfo::meminfo(lines.iter().copied(), &mut text);
        let read = meminfo::parse(meminfo::lines(&text));
        assert_eq!([read.total, read.free], [sizes.total, sizes.free].map(in_kib));
        assert_eq!(read.available, in_kib(sizes.available));
        assert_eq!(
            [read.swap_total, read.swap_free],
            [sizes.swap.total, sizes.swap.free].map(in_kib)
        );
        for (line, read) in lines.iter().zip(meminfo::lines(&text)) {
            match *line {
                view::meminfo::Line::Size { name, bytes } => {
                    assert_eq!((read.name, read.kib()), (name, Some(bytes / 1024)));
                }
                view::meminfo::Line::AsIs(text) => assert_eq!(read.text, text),
            }
        }
    });
}

#[test]
fn a_nodes_meminfo_is_what_its_view_is() {
    let host_text = "Node 0 MemTotal:       8388608 kB\nNode 0 MemFree:        1048576 kB\n\
                     Node 0 MemUsed:        7340032 kB\n";
    for_each(host_text, |sample, numbers| {
        sample.host.nodes = vec![node::Node { id: 0, cpus: CpuList::first(4), memory: 8 << 30 }];
        let memory = any_memory(numbers);
        let sizes = view::memory::sizes(&memory, &sample.host.memory);
        let mut text = String::new();
        render::meminfo::node_meminfo(&view::nodes::meminfo(sample, &memory), &mut text);
        let bytes: Vec<u64> = node::lines(&text)
            .map(|line| line.line.kib().map_or(0, |kib| kib.saturating_mul(1024)))
            .collect();
        assert_eq!(bytes, [sizes.total, sizes.free, sizes.total - sizes.free].map(in_kib));
    });
}

#[test]
fn nodes_add_up_to_the_total() {
    for_each("", |sample, numbers| {
        let memory = any_memory(numbers);
        let ids = 0..u32::try_from(1 + numbers.below(4)).unwrap();
        let nodes = ids.map(|id| node::Node {
            id,
            cpus: CpuList::first(4),
            memory: 1 + numbers.below(1 << 45),
        });
        sample.host.nodes = nodes.collect();
        let mut bytes = 0;
        for id in 0..sample.host.nodes.len() {
            sample.host_text = format!("Node {id} MemTotal:       1 kB\n").into();
            let mut text = String::new();
            render::meminfo::node_meminfo(&view::nodes::meminfo(sample, &memory), &mut text);
            let total: Option<u64> = node::lines(&text).find_map(|line| line.line.kib());
            bytes += total.unwrap() * 1024;
        }
        let total = view::memory::sizes(&memory, &sample.host.memory).total;
        let lost = total.checked_sub(bytes).unwrap();
        // Each node is rounded down, to KiB.
        assert!(lost <= 1025 * sample.host.nodes.len() as u64, "{lost} bytes are in no node");
    });
}

#[test]
fn swaps_is_the_swap_of_meminfo() {
    for_each("", |sample, numbers| {
        let memory = any_memory(numbers);
        let swap = view::memory::sizes(&memory, &sample.host.memory).swap;
        let mut text = String::new();
        render::swaps::swaps(&view::swaps::area(&memory, &sample.host.memory), &mut text);
        let areas = text.lines().skip(1).map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            [words[2], words[3]].map(|kib| kib.parse::<u64>().unwrap())
        });
        let expected = [swap.total, swap.total - swap.free].map(|bytes| bytes / 1024);
        assert_eq!(areas.collect::<Vec<_>>(), if swap.total > 0 { vec![expected] } else { vec![] });
    });
}

#[test]
fn zones_add_up_to_the_total() {
    for_each(host!("zoneinfo"), |sample, numbers| {
        let memory = any_memory(numbers);
        let host: u64 = zoneinfo::zones(&sample.host_text).iter().map(|zone| zone.managed).sum();
        sample.host.memory.total = host * sample.host.page_size;
        let total = view::memory::sizes(&memory, &sample.host.memory).total;
        let mut text = String::new();
        render::zoneinfo::zoneinfo(&view::zoneinfo::lines(sample, &memory), &mut text);
        let zones = zoneinfo::zones(&text);
        let pages: u64 = zones.iter().map(|zone| zone.managed).sum();
        let lost = total / sample.host.page_size - pages;
        assert!(lost <= zones.len() as u64, "{lost} pages of {total} bytes are in no zone");
    });
}

#[test]
fn cpuinfo_has_the_visible_cpus() {
    for_each(host!("cpuinfo"), |sample, _numbers| {
        let visible = visible(sample);
        let mut text = String::new();
        render::cpuinfo::cpuinfo(view::cpuinfo::parts(&sample.host_text, &visible), &mut text);
        let read: CpuList = cpuinfo::blocks(&text).filter_map(|block| block.processor).collect();
        assert_eq!(read, visible.ids());
        assert!(visible.count() >= 1 && visible.count() <= 4);
    });
}

#[test]
fn stat_has_the_visible_cpus_and_their_sum() {
    for_each(host!("stat"), |sample, _numbers| {
        let mut history = History::default();
        let lines: Vec<_> = view::stat::lines(sample, &mut history).collect();
        let mut text = String::new();
        render::stat::stat(lines.iter().copied(), &mut text);
        let read: Vec<&str> = stat::lines(&text)
            .filter_map(|line| match line {
                stat::Line::Cpu(text) => Some(text),
                _another => None,
            })
            .collect();
        assert_eq!(read.len(), visible(sample).count() as usize + 1);
        let meant = lines.iter().filter_map(|line| match line {
            view::stat::Line::Cpu { ticks, .. } => Some(*ticks),
            _another => None,
        });
        let read: Vec<Ticks> = read.into_iter().map(ticks).collect();
        assert_eq!(read, meant.collect::<Vec<_>>());
        let (sum, each) = read.split_first().unwrap();
        let user: u128 = each.iter().map(|ticks| u128::from(ticks.user)).sum();
        assert_eq!(u128::from(sum.user), user);
    });
}

/// A `cpu` line, read by the places of its columns.
fn ticks(line: &str) -> Ticks {
    let columns: Vec<u64> =
        line.split_ascii_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
    Ticks { user: columns[0], system: columns[2], idle: columns[3] }
}

#[test]
fn tables_have_a_column_for_each_visible_cpu() {
    for host_text in [host!("interrupts"), host!("softirqs")] {
        for_each(host_text, |sample, _numbers| {
            let visible = visible(sample);
            let lines = view::cpu_columns::lines(&sample.host_text, &visible);
            let mut text = String::new();
            render::cpu_columns::cpu_columns(&lines, &mut text);
            for (line, read) in lines.iter().zip(cpu_columns::lines(&text)) {
                let meant = match line {
                    view::cpu_columns::Line::Heading { indent, .. } => {
                        let cpus = visible.ids().iter().collect();
                        cpu_columns::Line::Heading { indent, cpus }
                    }
                    view::cpu_columns::Line::Row { label, counts, tail } => {
                        cpu_columns::Line::Row { label, counts: counts.clone(), tail }
                    }
                    // One number for the machine looks like that of the only CPU.
                    view::cpu_columns::Line::AsIs(_) if visible.count() == 1 => continue,
                    view::cpu_columns::Line::AsIs(text) => cpu_columns::Line::Other(text),
                };
                assert_eq!(read, meant);
            }
        });
    }
}

#[test]
fn lists_and_masks_are_the_cpus_that_they_are_of() {
    for_each("", |_sample, numbers| {
        let cpus = any_cpus(numbers, 200);
        let (mut list, mut mask) = (String::new(), String::new());
        render::cpu_list::cpu_list(&cpus, &mut list);
        render::cpu_mask::cpu_mask(&cpus, 50, &mut mask);
        assert_eq!(cpu_list::parse(&list), Ok(cpus.clone()));
        assert_eq!(cpu_mask::parse(&mask), Some(cpus));
        assert_eq!(cpu_mask::digits(&mask), 50);
    });
}

#[test]
fn a_cpu_has_one_number_everywhere() {
    for_each("", |_sample, numbers| {
        let physical = any_cpus(numbers, 64);
        let visible = Visible { physical };
        let own = view::cpu_lists::renumbered(&visible.physical, &visible);
        assert_eq!(own.count(), visible.physical.count());
        assert_eq!(own, CpuList::first(u32::try_from(own.count()).unwrap()));
    });
}

#[test]
fn both_files_have_the_disks_that_were_used() {
    for_each(host!("diskstats"), |sample, numbers| {
        let transfer = Transfer { bytes: numbers.any(), operations: numbers.any() };
        let io = DeviceIo { read: transfer, ..DeviceIo::default() };
        let all = disks::diskstats(&sample.host_text);
        let used: IoUsage =
            all.filter(|_disk| numbers.below(2) > 0).map(|disk| (disk.device, io)).collect();
        let mut text = String::new();
        render::diskstats::diskstats(&view::disks::used(&sample.host_text, &used), &mut text);
        let read: Vec<_> = disks::diskstats(&text).map(|disk| disk.device).collect();
        assert_eq!(read.len(), used.len());
        assert!(read.iter().all(|device| used.contains_key(device)));
        let partitions = view::disks::partitions(host!("partitions"), &used);
        let sized = partitions.iter().filter_map(|line| disks::partition(line));
        assert!(sized.into_iter().all(|device| used.contains_key(&device)));
    });
}
