//! What each line of a container's `/proc/stat` says.
//!
//! CPU lines are the container's, from its [`History`]. `btime` is the host's,
//! moved by the reader's time namespace as the kernel moves it. Counters of
//! interrupts, context switches and forks stay the host's: no cgroup counts
//! them, and they tell no size.

use super::cpu_time;
use crate::history::History;
use crate::history::cpu_time::{CpuTime, Times, widths};
use crate::host::stat;
use crate::readings::{Sample, Tasks};

/// One line of the container's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The `cpu` line (no number) or a `cpuN` line.
    Cpu {
        /// The number the container knows the CPU by.
        number: Option<u32>,
        /// Its times.
        ticks: Ticks,
    },
    /// A keyword and one number.
    Number {
        /// The keyword.
        name: &'static str,
        /// The number.
        value: i64,
    },
    /// The host's line, as it is.
    AsIs(&'a str),
}

/// CPU time in kernel clock ticks, rounded down.
///
/// The file's other columns are 0: a cgroup counts nice time in `user` and
/// interrupts in `system`, and waiting of any kind is not its use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// Not used by the container.
    pub idle: u64,
}

/// The lines of a container's file; `history` steps forward to this `sample`.
pub fn lines<'a>(sample: &'a Sample, history: &mut History) -> impl Iterator<Item = Line<'a>> {
    let visible = cpu_time::advance(sample, &mut history.cpu);
    let has_own = visible.is_some();
    let mut ours =
        visible.map(|visible| cpus(&history.cpu, visible.count(), sample.host.ticks_per_second));
    let tasks = sample.container.tasks.as_ref();
    stat::lines(&sample.host_text).flat_map(move |line| {
        let (cpus, line) = match line {
            // All of ours stand in place of the host's first; nothing is left for its others.
            stat::Line::Cpu(_hosts) if has_own => (ours.take(), None),
            stat::Line::Cpu(text) | stat::Line::Other(text) => (None, Some(Line::AsIs(text))),
            stat::Line::BootTime(seconds) => (None, Some(boot_time(seconds, sample))),
            stat::Line::Running(text) => (None, Some(running(text, tasks))),
            stat::Line::Blocked(text) => (None, Some(blocked(text, tasks))),
        };
        cpus.into_iter().flatten().chain(line)
    })
}

/// The `cpu` line, then a line for each visible CPU.
///
/// The first is the sum of the ticks of every CPU ever visible, so that it
/// never steps back; the kernel's sum counts unplugged CPUs too.
fn cpus<'a>(time: &CpuTime, count: u32, ticks_per_second: u64) -> impl Iterator<Item = Line<'a>> {
    let ticks = move |times| Ticks::of(times, ticks_per_second);
    let sum = widths(time.bands())
        .map(|(width, band)| ticks(band.each).times(width))
        .fold(Ticks::default(), Ticks::plus);
    let lines = (0..count).map(move |number| (Some(number), ticks(time.cpu(number))));
    std::iter::once((None, sum)).chain(lines).map(|(number, ticks)| Line::Cpu { number, ticks })
}

impl Ticks {
    fn of(times: Times, ticks_per_second: u64) -> Self {
        let ns_per_tick = (1_000_000_000 / ticks_per_second.max(1)).max(1);
        Self {
            user: times.user_ns / ns_per_tick,
            system: times.system_ns / ns_per_tick,
            idle: times.idle_ns / ns_per_tick,
        }
    }

    fn times(self, cpus: u64) -> Self {
        Self {
            user: self.user.saturating_mul(cpus),
            system: self.system.saturating_mul(cpus),
            idle: self.idle.saturating_mul(cpus),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            user: self.user.saturating_add(other.user),
            system: self.system.saturating_add(other.system),
            idle: self.idle.saturating_add(other.idle),
        }
    }
}

/// When the machine began as the reader's time namespace counts: the kernel's
/// `timens_sub_boottime()`, to the second that the host's line gives.
fn boot_time(host_seconds: i64, sample: &Sample) -> Line<'static> {
    let offset_s = sample.reader.boottime_offset_ns.unwrap_or(0).div_euclid(1_000_000_000);
    Line::Number { name: "btime", value: host_seconds.saturating_sub(offset_s) }
}

/// At least 1, as from the kernel: the reader itself runs.
fn running<'a>(host_line: &'a str, tasks: Option<&Tasks>) -> Line<'a> {
    count("procs_running", host_line, tasks.map(|tasks| tasks.running.max(1)))
}

fn blocked<'a>(host_line: &'a str, tasks: Option<&Tasks>) -> Line<'a> {
    count("procs_blocked", host_line, tasks.map(|tasks| tasks.blocked))
}

fn count<'a>(name: &'static str, host_line: &'a str, count: Option<u64>) -> Line<'a> {
    let value = count.and_then(|count| i64::try_from(count).ok());
    value.map_or(Line::AsIs(host_line), |value| Line::Number { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{self, SECOND};

    fn lines<'a>(sample: &'a Sample, history: &mut History) -> Vec<Line<'a>> {
        super::lines(sample, history).collect()
    }

    const HOST: &str = "\
cpu  900 0 0 90000 0 0 0 0 0 0
cpu0 400 0 0 45000 0 0 0 0 0 0
cpu1 500 0 0 45000 0 0 0 0 0 0
intr 283200 0 9
ctxt 364562
btime 1795308069
processes 10515
procs_running 7
procs_blocked 3
softirq 172984 0 22704
";

    fn cpu(number: Option<u32>, user: u64, system: u64, idle: u64) -> Line<'static> {
        Line::Cpu { number, ticks: Ticks { user, system, idle } }
    }

    /// lxcfs on v2: the counters of the first N physical CPUs of the host.
    /// lxcfs on v1: all zeros at the first read.
    #[test]
    fn cpu_lines_are_the_containers_from_the_first_read_on() {
        let sample = samples::used(HOST, 2, 30, 10);
        let lines = lines(&sample, &mut History::default());
        let expected = [
            cpu(None, 3000, 1000, 16_000),
            cpu(Some(0), 1500, 500, 8000),
            cpu(Some(1), 1500, 500, 8000),
            Line::AsIs("intr 283200 0 9"),
        ];
        assert_eq!(lines.get(..4), Some(expected.as_slice()));
    }

    #[test]
    fn the_sum_is_the_sum_of_the_lines() {
        let mut history = History::default();
        for step in 0..100 {
            let mut sample = samples::used(HOST, 3, 0, 0);
            sample.now_ns += step * 7_654_321;
            let usage = sample.container.cpu.as_mut().unwrap().usage.as_mut().unwrap();
            usage.user_ns = step * 1_234_567;
            usage.system_ns = step * 765_433;
            let lines = lines(&sample, &mut history);
            let mut ticks = lines.iter().filter_map(|line| match line {
                Line::Cpu { ticks, .. } => Some(*ticks),
                _another => None,
            });
            let sum = ticks.next().unwrap();
            assert_eq!(ticks.fold(Ticks::default(), Ticks::plus), sum);
        }
    }

    /// lxcfs #512, #554: the sum fell when a CPU was taken away.
    #[test]
    fn the_sum_keeps_counting_a_cpu_that_was_taken_away() {
        let mut history = History::default();
        lines(&samples::used(HOST, 2, 30, 10), &mut history);
        let mut sample = samples::used(HOST, 1, 30, 10);
        sample.now_ns += SECOND;
        let lines = lines(&sample, &mut history);
        let expected = [cpu(None, 3000, 1000, 16_100), cpu(Some(0), 1500, 500, 8100)];
        assert_eq!(lines.get(..2), Some(expected.as_slice()));
    }

    /// lxcfs: procs_running and procs_blocked are the host's.
    #[test]
    fn processes_are_the_containers() {
        let mut sample = samples::sample(HOST);
        let tasks = Tasks { running: 2, blocked: 1, ..Tasks::default() };
        sample.container.tasks = Some(tasks);
        let found = lines(&sample, &mut History::default());
        assert!(found.contains(&Line::Number { name: "procs_running", value: 2 }));
        assert!(found.contains(&Line::Number { name: "procs_blocked", value: 1 }));
        sample.container.tasks = Some(Tasks { running: 0, ..tasks });
        let found = lines(&sample, &mut History::default());
        assert!(found.contains(&Line::Number { name: "procs_running", value: 1 }));
    }

    /// lxcfs: btime is always the host's, so `ps -o lstart` is wrong beside its uptime.
    #[test]
    fn btime_follows_the_readers_time_namespace() {
        let of = |offset_ns| {
            let mut sample = samples::sample("btime 1795308069\n");
            sample.reader.boottime_offset_ns = offset_ns;
            match lines(&sample, &mut History::default()).as_slice() {
                [Line::Number { name: "btime", value }] => *value - 1_795_308_069,
                another => panic!("{another:?}"),
            }
        };
        assert_eq!(of(None), 0);
        assert_eq!(of(Some(-900_000_000_000)), 900);
        assert_eq!(of(Some(60_000_000_000)), -60);
    }

    #[test]
    fn without_readings_the_hosts_lines_stay() {
        let sample = samples::sample(HOST);
        let found = lines(&sample, &mut History::default());
        assert_eq!(found.first(), Some(&Line::AsIs("cpu  900 0 0 90000 0 0 0 0 0 0")));
        assert_eq!(found.len(), HOST.lines().count());
    }

    /// v1: a group with a quota, in the root group of the hierarchy that accounts.
    #[test]
    fn cpus_whose_use_nobody_counts_are_as_many_as_cpuinfo_has() {
        let mut sample = samples::used(HOST, 2, 30, 10);
        let cpu = sample.container.cpu.as_mut().unwrap();
        cpu.usage = None;
        let found = lines(&sample, &mut History::default());
        let cpus = |lines: &[Line<'_>]| -> Vec<Option<u32>> {
            lines
                .iter()
                .filter_map(|line| match line {
                    Line::Cpu { number, ticks } => {
                        assert_eq!((ticks.user, ticks.system), (0, 0));
                        Some(*number)
                    }
                    _ => None,
                })
                .collect()
        };
        assert_eq!(cpus(&found), [None, Some(0), Some(1)]);
        sample.container.cpu.as_mut().unwrap().bandwidth.clear();
        assert_eq!(cpus(&lines(&sample, &mut History::default())), [], "the host's");
    }
}
