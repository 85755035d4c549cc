//! What a daemon with many containers costs: memory, descriptors, and what it does
//! while nobody asks.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{Daemon, Group, Ran, Verdict};

use crate::FILES;
use crate::rivals::processes;

/// How many containers live at once, and how many come and go beside them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// Their groups stay.
    pub(crate) living: usize,
    /// Their groups are removed after a read of every file.
    pub(crate) short_lived: usize,
}

/// Containers that come and go while some live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Churn {
    /// All of them.
    pub(crate) containers: usize,
    /// Those that live at once: the oldest goes when another comes.
    pub(crate) alive: usize,
}

/// An hour of a busy machine: a container starts each second and lives for a minute. It
/// takes as long as starting them does, which is harder than an hour: what is given back
/// after a time is given back later.
pub(crate) const AN_HOUR: Churn = Churn { containers: 3600, alive: 60 };

/// Looks at the costs during it: at each eighth.
const LOOKS: usize = 8;

/// What memory may be in the second half, of what it was after the first: pages come and go
/// by some dozens from one look to the next. Until then what has a bound is filled: files and
/// readers of 512 containers, and the histories of 2,048.
const MOST_OF_FIRST_HALF: f64 = 1.05;

/// Descriptors that a daemon may have: 24 for each of the 512 containers whose files it
/// keeps open, one for each of 512 readers, and 256 others (`procfs-fuse/src/config.rs`).
const MOST_DESCRIPTORS: u64 = 13_056;

/// How long nobody asks.
const QUIET: Duration = Duration::from_secs(30);

/// How long a child of the daemon's may take to end, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// How long a worker goes on arranging itself after its last read.
const SETTLING: Duration = Duration::from_secs(3);

/// Memory and descriptors before, with all containers alive, and after the short-lived.
pub(crate) fn of_crowd(crowd: Crowd) -> Result<Value> {
    let daemon = Daemon::start()?;
    let before = costs(&daemon)?.told();
    let mut living = Vec::with_capacity(crowd.living);
    for _container in 0..crowd.living {
        living.push(container(&daemon)?);
    }
    let with_living = costs(&daemon)?.told();
    for _container in 0..crowd.short_lived {
        container(&daemon)?;
    }
    let after = costs(&daemon)?.told();
    daemon.stop()?;
    Ok(json!({
        "living": crowd.living,
        "short_lived": crowd.short_lived,
        "before": before,
        "with_living": with_living,
        "after_short_lived": after,
    }))
}

/// Memory and descriptors while containers come and go.
pub(crate) fn of_churn(churn: Churn) -> Result<Value> {
    let costs = costs_of_churn(churn)?;
    let points = costs
        .iter()
        .map(|(containers, cost)| json!({ "containers": containers, "cost": cost.told() }));
    let points: Value = points.collect();
    Ok(json!({ "alive": churn.alive, "points": points }))
}

/// Fails unless memory is flat in the second half, and descriptors are within their
/// bound: those of containers that are gone are given back by and by.
pub(crate) fn an_hour_is_flat() -> Verdict {
    let costs = costs_of_churn(AN_HOUR)?;
    println!("containers; resident KiB, counted once, descriptors: {costs:?}");
    let (_, half) = costs.get(LOOKS / 2).context("there is no half")?;
    let numbers = |cost: &Cost| [cost.resident_kib, cost.kib];
    for (containers, cost) in costs.iter().skip(LOOKS / 2) {
        for (now, then) in numbers(cost).into_iter().zip(numbers(half)) {
            let most = f64::from(u32::try_from(then)?) * MOST_OF_FIRST_HALF;
            let is_flat = f64::from(u32::try_from(now)?) <= most;
            ensure!(is_flat, "{now} KiB after {containers} containers, {then} after half");
        }
        ensure!(cost.descriptors <= MOST_DESCRIPTORS, "{} descriptors", cost.descriptors);
    }
    Ok(())
}

/// What the daemon costs before the first container and at each look, by how many
/// containers there were.
fn costs_of_churn(churn: Churn) -> Result<Vec<(usize, Cost)>> {
    let daemon = Daemon::start()?;
    let mut found = vec![(0, costs(&daemon)?)];
    let mut alive = VecDeque::with_capacity(churn.alive);
    let between = (churn.containers / LOOKS).max(1);
    for number in 1..=churn.containers {
        if alive.len() == churn.alive {
            alive.pop_front();
        }
        alive.push_back(container(&daemon)?);
        if number % between == 0 {
            found.push((number, costs(&daemon)?));
        }
    }
    daemon.stop()?;
    Ok(found)
}

/// How often any of the daemon's threads woke up in a minute in which nobody asked. Its
/// load averages were not asked for either: those are sampled for 15 minutes.
pub(crate) fn idle_wakeups() -> Result<f64> {
    let daemon = Daemon::start()?;
    let group = Group::new(&["memory"])?;
    let path = daemon.mount_point().join("proc/meminfo");
    Ran::new(&mut group.container(&["cat", &path.to_string_lossy()]))?.succeeded()?;
    thread::sleep(SETTLING);
    let pids = processes(daemon.pid())?;
    let before = switches(&pids)?;
    thread::sleep(QUIET);
    let woken = switches(&pids)?.saturating_sub(before);
    daemon.stop()?;
    Ok(f64::from(u32::try_from(woken)?) * 60.0 / QUIET.as_secs_f64())
}

/// A container that has read every file.
fn container(daemon: &Daemon) -> Result<Group> {
    let group = Group::new(&["memory"])?;
    let files = FILES.iter().map(|file| daemon.mount_point().join(file));
    let files: Vec<_> = files.map(|path| path.to_string_lossy().into_owned()).collect();
    let words = ["cat"].into_iter().chain(files.iter().map(String::as_str));
    Ran::new(&mut group.container(&words.collect::<Vec<_>>()))?.succeeded()?;
    Ok(group)
}

/// What keeper and worker cost together.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Resident memory; what they share (the program, and the memory that outlives workers)
    /// is counted for each.
    resident_kib: u64,
    /// The same, what they share counted once.
    kib: u64,
    descriptors: u64,
}

impl Cost {
    fn told(self) -> Value {
        let Self { resident_kib, kib, descriptors } = self;
        json!({ "resident_kib": resident_kib, "kib": kib, "descriptors": descriptors })
    }
}

fn costs(daemon: &Daemon) -> Result<Cost> {
    let mut cost = Cost { resident_kib: 0, kib: 0, descriptors: 0 };
    for pid in keeper_and_worker(daemon)? {
        let memory = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        cost.resident_kib += line(&memory, "Rss:")?;
        cost.kib += line(&memory, "Pss:")?;
        cost.descriptors += std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    }
    Ok(cost)
}

/// A daemon's two processes, once the one that heals containers when it starts has ended.
fn keeper_and_worker(daemon: &Daemon) -> Result<Vec<Pid>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = processes(daemon.pid())?;
        if processes.len() <= 2 {
            return Ok(processes);
        }
        ensure!(Instant::now() < deadline, "more than keeper and worker: {processes:?}");
        thread::sleep(POLL);
    }
}

fn line(memory: &str, key: &str) -> Result<u64> {
    let value = memory.lines().find_map(|line| line.strip_prefix(key));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    Ok(value.with_context(|| format!("smaps_rollup has no {key}"))?.parse()?)
}

/// How often threads of `pids` have been switched to.
fn switches(pids: &[Pid]) -> Result<u64> {
    let mut all = 0;
    for pid in pids {
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let status = std::fs::read_to_string(task?.path().join("status"))?;
            let lines = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            all += lines.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(all)
}
