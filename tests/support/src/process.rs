//! Processes and their children, as `/proc` tells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// How long a program may take to start another.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(2);

/// All processes that `pid` has started and those have started, but for those
/// that have ended.
pub fn descendants(pid: Pid) -> Result<Vec<Pid>> {
    let parents = parents()?;
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    Ok(found.split_off(1))
}

/// What `pid` has open, by number.
pub fn descriptors(pid: Pid) -> Result<BTreeMap<u32, PathBuf>> {
    let mut open = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse()?;
        // It may be closed while it is looked at.
        if let Ok(target) = std::fs::read_link(entry.path()) {
            open.insert(number, target);
        }
    }
    Ok(open)
}

/// The first child of `pid` that is called `name`; waits until there is one.
pub fn child(pid: Pid, name: &str) -> Result<Pid> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = descendants(pid)?.into_iter().find(|child| is_called(*child, name));
        if found.is_some() || Instant::now() > deadline {
            return found.with_context(|| format!("process {pid} never started {name}"));
        }
        std::thread::sleep(POLL);
    }
}

fn is_called(pid: Pid, name: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}

/// Every process with its parent.
fn parents() -> Result<Vec<(Pid, Pid)>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end while it is looked at.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.contains("\nState:\tZ") {
            continue;
        }
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if let Some(parent) = parent.and_then(|parent| parent.trim().parse().ok()) {
            parents.push((Pid::from_raw(pid), Pid::from_raw(parent)));
        }
    }
    Ok(parents)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn children_and_their_children_are_found() {
        let mut shell = Command::new("sh").args(["-c", "sh -c 'sleep 60; :'; :"]).spawn().unwrap();
        let pid = Pid::from_raw(shell.id().cast_signed());
        let sleep = child(pid, "sleep").unwrap();
        let family = descendants(pid).unwrap();
        assert_eq!(family.len(), 2, "{family:?}");
        for pid in [pid].into_iter().chain(family) {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        shell.wait().unwrap();
        assert!(sleep.as_raw() > 0);
    }
}
