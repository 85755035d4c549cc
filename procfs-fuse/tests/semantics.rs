//! docs/SEMANTICS.md against the catalogue: every file has a section, every line
//! of a known kernel a row, and the class in the row is what the code does.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the page has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cgroupfs::cpu_list::CpuList;
use cgroupfs::io::{Device, DeviceIo, IoUsage, Transfer};
use cgroupfs::limit::Limit;
use cgroupfs::memory_stat::MemoryStat;
use procfs_fuse::catalog::{CATALOG, Entry};
use procfs_fuse::history::History;
use procfs_fuse::host::meminfo;
use procfs_fuse::readings::{
    Container, Cpu, CpuUsage, Host, Load, Memory, MemoryLevel, Reader, Sample, Tasks,
};

/// What a row says about the lines it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Container's or scaled: the line is there and ours.
    Ours,
    Host,
    Absent,
}

/// The rows of each section: path of the file to (name of the line, class).
fn document() -> BTreeMap<String, BTreeMap<String, Class>> {
    let text = fs::read_to_string(repository().join("docs/SEMANTICS.md")).unwrap();
    let mut sections = BTreeMap::new();
    let mut rows = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let path = heading.trim_matches('`').trim_start_matches('/').to_owned();
            rows = Some(sections.entry(path).or_insert_with(BTreeMap::new));
        } else if let (Some(rows), Some(row)) = (&mut rows, line.strip_prefix("| ")) {
            let mut cells = row.split(" | ");
            let (names, class) = (cells.next().unwrap(), cells.next().unwrap());
            let class = match class {
                "container's" | "scaled" => Class::Ours,
                "host's" => Class::Host,
                "absent" => Class::Absent,
                _heading => continue,
            };
            rows.extend(names.split('`').map(|name| (name.to_owned(), class)));
        }
    }
    sections
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_file_has_a_section_with_rows() {
    let document = document();
    for Entry { path, .. } in CATALOG {
        let rows = document.get(*path).map_or(0, BTreeMap::len);
        assert!(rows > 0, "docs/SEMANTICS.md has no section \"## `/{path}`\" with a table");
    }
}

/// Files of named lines: how a line is told from the next, and a value that no
/// host's file has, so that ours can be told from the host's.
fn name_of<'a>(path: &str, line: &'a str) -> Option<&'a str> {
    match path {
        "proc/meminfo" => line.split_once(':').map(|(name, _)| name),
        "proc/stat" => line.split_once(' ').map(|(name, _)| match name.strip_prefix("cpu") {
            Some(number) if !number.is_empty() => "cpuN",
            _another => name,
        }),
        "proc/vmstat" => line.split_once(' ').map(|(name, _)| name),
        _another => None,
    }
}

#[test]
fn every_line_of_a_known_kernel_has_its_row() {
    let document = document();
    let mut lines_seen = 0;
    for fixture in fs::read_dir(repository().join("procfs-fuse/fixtures")).unwrap() {
        let host = fixture.unwrap().path().join("host");
        for entry in CATALOG {
            let Ok(text) = fs::read_to_string(host.join(entry.path)) else { continue };
            let rows = &document[entry.path];
            let shown = classes_shown(entry, &text);
            for line in text.lines() {
                let Some(name) = name_of(entry.path, line) else { continue };
                let Some(class) = class_of(rows, name) else {
                    panic!("/{}: `{name}` of {} has no row", entry.path, host.display());
                };
                let shown = shown.get(name).copied().unwrap_or(Class::Absent);
                assert_eq!(shown, class, "/{}: `{name}` of {}", entry.path, host.display());
                lines_seen += 1;
            }
        }
    }
    assert!(lines_seen > 50, "only {lines_seen} lines of fixtures were looked at");
}

/// The class of the row that names the line, or of the one for the rest of its kind.
fn class_of(rows: &BTreeMap<String, Class>, name: &str) -> Option<Class> {
    let gauge = name.starts_with("nr_").then_some("nr_*");
    [Some(name), gauge, Some("every other line")]
        .into_iter()
        .flatten()
        .find_map(|name| rows.get(name).copied())
}

/// The class of each line that the code shows: the host's when it is one of the
/// host's lines whatever the readings are.
fn classes_shown(entry: &Entry, host_text: &str) -> BTreeMap<String, Class> {
    let texts = [17, 23].map(|number| {
        let mut out = String::new();
        (entry.render)(&sample(host_text, number), &mut History::default(), &mut out);
        out
    });
    let host: BTreeSet<_> = host_text.lines().collect();
    texts[0]
        .lines()
        .filter_map(|line| {
            let is_hosts = host.contains(line) && texts[1].lines().any(|other| other == line);
            let class = if is_hosts { Class::Host } else { Class::Ours };
            Some((name_of(entry.path, line)?.to_owned(), class))
        })
        .collect()
}

/// Readings of a container in which every number is derived from `number`.
fn sample(host_text: &str, number: u64) -> Sample {
    let bytes = number << 20;
    let level = MemoryLevel { limit: Limit::AtMost(bytes * 4), usage: bytes, swap: None };
    let usage = CpuUsage { user_ns: number * 1_000_000_000, system_ns: number * 1_000_000_000 };
    let transfer = Transfer { bytes, operations: number };
    let io = DeviceIo { read: transfer, write: transfer, discard: transfer };
    let io = IoUsage::from([(Device { major: 254, minor: 0 }, io)]);
    Sample {
        now_ns: number * 4_000_000_000,
        host_text: host_text.into(),
        host: Host {
            online: CpuList::first(2),
            memory: meminfo::HostMemory {
                swap_total: bytes * 3,
                swap_free: bytes * 2,
                ..meminfo::parse(meminfo::lines(host_text))
            },
            nodes: vec![],
            device: None,
            page_size: 4096,
            ticks_per_second: 100,
        },
        container: Container {
            memory: Some(Memory { levels: vec![level].into(), stat: Some(every_field(bytes / 2)) }),
            cpu: Some(Cpu {
                bandwidth: vec![].into(),
                cpuset: None,
                memory_nodes: None,
                usage: Some(usage),
            }),
            tasks: Some(Tasks { running: number, blocked: number, total: number, last_pid: 1 }),
            load: Some(Load { averages: [number; 3] }),
            io: Some(io),
            pressure: None,
            started_ns: Some(1),
        },
        reader: Reader { boottime_offset_ns: Some(-1_000_000_000) },
    }
}

fn every_field(bytes: u64) -> MemoryStat {
    let bytes = Some(bytes);
    MemoryStat {
        anon: bytes,
        file: bytes,
        kernel_stack: bytes,
        pagetables: bytes,
        sec_pagetables: bytes,
        percpu: bytes,
        shmem: bytes,
        zswap: bytes,
        zswapped: bytes,
        file_mapped: bytes,
        file_dirty: bytes,
        file_writeback: bytes,
        swapcached: bytes,
        anon_thp: bytes,
        file_thp: bytes,
        shmem_thp: bytes,
        inactive_anon: bytes,
        active_anon: bytes,
        inactive_file: bytes,
        active_file: bytes,
        unevictable: bytes,
        slab_reclaimable: bytes,
        slab_unreclaimable: bytes,
        pgfault: bytes,
        pgmajfault: bytes,
    }
}
