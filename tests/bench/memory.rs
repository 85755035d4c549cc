//! What a daemon with many containers costs: memory, descriptors, and what it does
//! while nobody asks.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{Daemon, Group, Ran};

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

/// How long nobody asks.
const QUIET: Duration = Duration::from_secs(30);

/// How long a worker goes on arranging itself after its last read.
const SETTLING: Duration = Duration::from_secs(3);

/// Memory and descriptors before, with all containers alive, and after the short-lived.
pub(crate) fn of_crowd(crowd: Crowd) -> Result<Value> {
    let daemon = Daemon::start()?;
    let before = costs(&daemon)?;
    let mut living = Vec::with_capacity(crowd.living);
    for _container in 0..crowd.living {
        living.push(container(&daemon)?);
    }
    let with_living = costs(&daemon)?;
    for _container in 0..crowd.short_lived {
        container(&daemon)?;
    }
    let after = costs(&daemon)?;
    daemon.stop()?;
    Ok(json!({
        "living": crowd.living,
        "short_lived": crowd.short_lived,
        "before": before,
        "with_living": with_living,
        "after_short_lived": after,
    }))
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

/// What keeper and worker cost together: resident memory, for which what they share (the
/// program, and the memory that outlives workers) is counted twice; the same counted once;
/// descriptors.
fn costs(daemon: &Daemon) -> Result<Value> {
    let (mut resident, mut kib, mut descriptors) = (0, 0, 0);
    for pid in processes(daemon.pid())? {
        let memory = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        resident += line(&memory, "Rss:")?;
        kib += line(&memory, "Pss:")?;
        descriptors += std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    }
    Ok(json!({ "resident_kib": resident, "kib": kib, "descriptors": descriptors }))
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
