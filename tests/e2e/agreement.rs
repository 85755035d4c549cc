//! No two files disagree: each fact that several files tell is looked up in all of
//! them, read one after the other in one container.
//!
//! Files are read at different instants, so numbers that move are compared within
//! what can happen between two reads; the rest must be the same.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Trial;
use support::{Group, Need, Ran, Verdict, container, daemon, trial};

const MIB: u64 = 1 << 20;
const LIMITED: &[Need] = &[
    Need::Container,
    Need::Speed,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Controller("cpuset"),
    Need::Cpus(2),
];
const FOUR_CPUS: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Controller("cpuset"),
    Need::Cpus(4),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("no_two_files_disagree", LIMITED, no_two_files_disagree),
        trial("no_two_files_disagree_with_three_cpus", FOUR_CPUS, || {
            of_porthole(&["--cpus", "2.5"])
        }),
        trial("no_two_files_of_the_shared_tree_disagree", LIMITED, of_the_shared_tree),
    ]
}

/// Every file that tells a fact of those below, and the clock beside them.
const SCRIPT: &str = "\
cd \"$1\"
echo '== now' && date +%s && echo '== before' && cat proc/uptime
echo '== proc/stat' && cat proc/stat
echo '== after' && cat proc/uptime && echo '== later' && date +%s
for file in proc/cpuinfo proc/interrupts proc/softirqs proc/schedstat \\
    proc/meminfo proc/vmstat proc/zoneinfo proc/swaps proc/diskstats proc/partitions proc/loadavg \\
    sys/devices/system/cpu/online sys/devices/system/cpu/present sys/devices/system/cpu/cpu*/topology/core_id \\
    sys/devices/system/node/online sys/devices/system/node/node*/cpulist sys/devices/system/node/node*/meminfo
do [ -e \"$file\" ] && echo \"== $file\" && cat \"$file\"
done
for device in /sys/block/*
do echo \"== ${device#/}/stat\" && cat \".$(readlink -f \"$device\")/stat\"
done
echo '== pages' && getconf PAGESIZE";

fn no_two_files_disagree() -> Verdict {
    for options in [
        &["-m", "128m", "--cpus", "1"][..],
        &["-m", "200m", "--memory-swap", "200m", "--cpus", "1.5"],
        &["--cpuset-cpus", "1"],
        &[],
    ] {
        of_porthole(options)?;
    }
    Ok(())
}

fn of_porthole(options: &[&str]) -> Verdict {
    Files::of(container::run(options, &["sh", "-c", SCRIPT, "sh", "/"])?)?.agree()
}

/// What docker's `-v` gives a container: the tree of everybody.
fn of_the_shared_tree() -> Verdict {
    let tree = daemon::shared()?;
    let group = Group::new(&["memory", "cpu", "cpuset"])?;
    group.limit_memory(150 * MIB)?;
    for quota_us in [100_000, 150_000] {
        group.limit_cpu(quota_us)?;
        let words = ["sh", "-c", SCRIPT, "sh", &tree.to_string_lossy()];
        Files::of(Ran::new(&mut group.container(&words))?)?.agree()?;
    }
    Ok(())
}

/// What all the files said.
struct Files {
    ran: Ran,
    texts: BTreeMap<String, String>,
}

impl Files {
    fn of(ran: Ran) -> Result<Self> {
        let ran = ran.succeeded()?;
        let parts = ran.stdout.split("== ").skip(1).filter_map(|part| part.split_once('\n'));
        let texts = parts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        Ok(Self { texts, ran })
    }

    fn agree(&self) -> Verdict {
        self.about_cpus()?;
        self.about_time()?;
        self.about_memory()?;
        self.about_swap()?;
        self.about_disks()?;
        self.about_tasks()
    }

    fn text(&self, file: &str) -> Result<&str> {
        let text = self.texts.get(file).map(String::as_str);
        text.with_context(|| format!("{file} was not read\n{}", self.ran))
    }

    /// Texts of the files whose name begins and ends so.
    fn texts<'a>(&'a self, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
        let files = self.texts.iter();
        let alike = files.filter(move |(name, _)| name.starts_with(begin) && name.ends_with(end));
        alike.map(|(_, text)| text.as_str())
    }

    /// N, from every file that tells it.
    fn about_cpus(&self) -> Verdict {
        let lines = |file: &str, begin: &str| -> Result<usize> {
            Ok(self.text(file)?.lines().filter(|line| line.starts_with(begin)).count())
        };
        let n = lines("proc/cpuinfo", "processor\t")?;
        self.ran.holds("there is a CPU", n > 0)?;
        let list = if n == 1 { "0\n".to_owned() } else { format!("0-{}\n", n - 1) };
        let same = |what: &str, found: usize| self.ran.equal(what, &found, &n);
        same("CPUs of stat", lines("proc/stat", "cpu")? - 1)?;
        for file in ["online", "present"] {
            let file = format!("sys/devices/system/cpu/{file}");
            self.ran.equal(&file, &self.text(&file)?, &list.as_str())?;
        }
        same("directories", self.texts("sys/devices/system/cpu/cpu", "/core_id").count())?;
        let of_nodes = self.texts("sys/devices/system/node/node", "/cpulist");
        same("CPUs of nodes", of_nodes.map(cpus_of).sum())?;
        // The runtime masks interrupts, as engines do.
        for file in ["proc/interrupts", "proc/softirqs"] {
            let heading = self.texts.get(file).and_then(|text| text.lines().next());
            let Some(heading) = heading else { continue };
            same(file, heading.split_ascii_whitespace().count())?;
        }
        if self.texts.contains_key("proc/schedstat") {
            same("CPUs of schedstat", lines("proc/schedstat", "cpu")?)?;
        }
        Ok(())
    }

    fn about_time(&self) -> Verdict {
        let stat = self.text("proc/stat")?;
        let cpus: Vec<Vec<u64>> =
            stat.lines().filter(|line| line.starts_with("cpu")).map(numbers).collect();
        let (sum, each) = cpus.split_first().context("no line of all CPUs")?;
        for (column, sum) in sum.iter().enumerate() {
            let of_each = each.iter().filter_map(|cpu| cpu.get(column)).sum::<u64>();
            self.ran.equal(&format!("column {column} of stat"), &of_each, sum)?;
        }
        let (up, idle_before) = self.uptime("before")?;
        let (_up, idle_after) = self.uptime("after")?;
        let clock = |name: &str| -> Result<f64> { Ok(self.text(name)?.trim().parse()?) };
        let now = self.number("proc/stat", "btime")? as f64 + up;
        // Whole seconds, of the clock and of btime.
        self.ran.between("btime + uptime", now, clock("now")? - 1.0, clock("later")? + 2.0)?;
        let idle = *sum.get(3).context("no idle column")? as f64 / 100.0;
        // Ticks are rounded down, for each CPU.
        let close = 0.01 * (each.len() as f64 + 1.0);
        self.ran.between("idle of stat", idle, idle_before - close, idle_after + close)
    }

    /// Uptime and idle time, in seconds.
    fn uptime(&self, name: &str) -> Result<(f64, f64)> {
        let mut words = self.text(name)?.split_ascii_whitespace().map(str::parse);
        match (words.next(), words.next()) {
            (Some(Ok(up)), Some(Ok(idle))) => Ok((up, idle)),
            _ => bail!("no uptime\n{}", self.ran),
        }
    }

    fn about_memory(&self) -> Verdict {
        let total = self.meminfo("MemTotal")?;
        let near = |what: &str, found: u64, expected: u64, close: u64| {
            let (low, high) = (expected.saturating_sub(close), expected + close);
            self.ran.between(what, found, low, high)
        };
        let page: u64 = self.text("pages")?.trim().parse()?;
        // What starting the next cat takes; without a limit, what everybody does.
        let unlimited = total == support::needs::host_meminfo("MemTotal");
        let moving = if unlimited { total / 16 } else { 4 * MIB };
        let free = self.meminfo("MemFree")?;
        near("nr_free_pages", self.number("proc/vmstat", "nr_free_pages")? * page, free, moving)?;
        let zones = self.text("proc/zoneinfo")?;
        let of_zones = |key: &str| -> (u64, u64) {
            let lines =
                zones.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(' '));
            lines
                .filter_map(|rest| rest.trim().parse::<u64>().ok())
                .fold((0, 0), |(sum, count), pages| (sum + pages, count + 1))
        };
        let (managed, count) = of_zones("managed");
        near("managed of zoneinfo", managed * page, total, count * page)?;
        let of_nodes = |key: &str| -> u64 {
            let nodes = self.texts("sys/devices/system/node/node", "/meminfo");
            nodes.filter_map(|text| node_meminfo(text, key)).sum()
        };
        near("MemTotal of nodes", of_nodes("MemTotal:"), total, 16 * 1024)?;
        near("MemFree of nodes", of_nodes("MemFree:"), free, moving)?;
        self.ran.holds("MemFree is part of MemTotal", free <= total)?;
        self.ran.holds("MemAvailable too", self.meminfo("MemAvailable")? <= total)
    }

    fn about_swap(&self) -> Verdict {
        let areas = self.text("proc/swaps")?.lines().skip(1);
        let size: u64 = areas
            .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok())
            .sum();
        self.ran.equal("size in swaps, in bytes", &(size * 1024), &self.meminfo("SwapTotal")?)
    }

    /// Every disk that was used has a size, and no other has; and both files that count
    /// for a disk count the same.
    fn about_disks(&self) -> Verdict {
        let names = |file: &str, column: usize| -> Result<BTreeSet<&str>> {
            let lines = self.text(file)?.lines();
            let names = lines.filter_map(|line| line.split_ascii_whitespace().nth(column));
            Ok(names.filter(|name| *name != "name").collect())
        };
        let used = names("proc/diskstats", 2)?;
        let sized = names("proc/partitions", 3)?;
        // Loop and RAM disks without anything in them have no size to the kernel either.
        self.ran.holds("partitions are of diskstats", sized.is_subset(&used))?;
        // What starting the next programs reads meanwhile.
        let meanwhile = 4 * MIB;
        for (name, text) in self.texts.iter().filter(|(name, _)| name.starts_with("sys/block/")) {
            let device = name.split('/').nth(2).unwrap_or_default();
            let mut lines = self.text("proc/diskstats")?.lines();
            let line = lines.find(|line| line.split_ascii_whitespace().nth(2) == Some(device));
            let before = line.map(|line| numbers(line).split_off(1)).unwrap_or_default();
            let counted: Vec<u64> =
                text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
            self.ran.holds(&format!("{name} has columns"), counted.len() >= 11)?;
            for (column, counted) in counted.into_iter().enumerate() {
                let before = before.get(column).copied().unwrap_or(0);
                let what = format!("column {column} of {name}");
                self.ran.between(&what, counted, before, before + meanwhile)?;
            }
        }
        Ok(())
    }

    /// Nothing runs in the container but the program that reads, and the shell until
    /// it waits for it.
    fn about_tasks(&self) -> Verdict {
        let running = self.ran.find("running of loadavg", |_all| {
            let word = self.texts.get("proc/loadavg")?.split(' ').nth(3)?;
            word.split_once('/')?.0.parse::<u64>().ok()
        })?;
        let of_stat = self.number("proc/stat", "procs_running")?;
        self.ran.between("running of loadavg", running, 1, 2)?;
        self.ran.between("running of stat", of_stat, 1, 2)
    }

    fn meminfo(&self, key: &str) -> Result<u64> {
        let found = support::ran::meminfo(self.text("proc/meminfo")?, key);
        found.with_context(|| format!("no {key}\n{}", self.ran))
    }

    /// `KEY NUMBER` of a file.
    fn number(&self, file: &str, key: &str) -> Result<u64> {
        let mut lines = self.text(file)?.lines();
        let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
        found.with_context(|| format!("no {key} in {file}\n{}", self.ran))
    }
}

/// The numbers of a line behind its first word.
fn numbers(line: &str) -> Vec<u64> {
    line.split_ascii_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect()
}

/// How many CPUs `0-1,3` are.
fn cpus_of(list: &str) -> usize {
    let ranges = list.trim().split(',').filter(|range| !range.is_empty());
    let counts = ranges.filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1)
    });
    counts.sum()
}

/// `Node 0 KEY: 123 kB`, in bytes.
fn node_meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_ascii_whitespace().nth(2) == Some(key))?;
    let kib: u64 = line.split_ascii_whitespace().nth(3)?.parse().ok()?;
    Some(kib * 1024)
}
