//! A keeper that was killed alone: its worker answers on, everybody says so, and
//! the next start continues it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Need, Ran, Verdict, alone, binaries, group, leaks, process};

use crate::readers::Readers;
use crate::serving::Serving;

const NEEDS: &[Need] = &[Need::Container, Need::Controller("memory")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("a_killed_keeper_is_told_of", NEEDS, a_killed_keeper_is_told_of),
        alone("killing_a_group_leaves_keeper_or_worker", NEEDS, killing_a_group),
        alone("the_group_of_a_killed_keeper_is_removed", NEEDS, group_is_removed),
        alone("porthole_run_continues_a_worker_without_keeper", NEEDS, porthole_run_continues),
        alone("keepers_killed_while_workers_start_are_continued", NEEDS, killed_at_any_instant),
    ]
}

/// A daemon that serves, its worker, and its keeper dead.
fn orphan() -> Result<(Serving, Pid)> {
    let mut serving = Serving::start(&[])?;
    let worker = serving.worker()?.context("nobody serves")?;
    serving.kill_keeper()?;
    Ok((serving, worker))
}

fn a_killed_keeper_is_told_of() -> Verdict {
    let (mut serving, worker) = orphan()?;
    let place = serving.mount_point();
    let place = place.display();
    let cure = format!("(try: portholefs serve --daemon {place}, which continues it)");
    let status = serving.command(&["status"])?.succeeded()?;
    let said: Vec<&str> = status.stdout.lines().skip(1).take(2).collect();
    let expected = [
        format!("keeper pid   none: it was killed {cure}"),
        format!("worker pid   {worker} (generation 1)"),
    ];
    status.holds("the second and third line", said == expected)?;
    let json = serving.command(&["status", "--json"])?.succeeded()?;
    json.holds("keeper_pid is 0", json.stdout.contains("\"keeper_pid\":0,"))?;
    let line = format!(
        "portholefs: the keeper of {place} was killed; its worker with pid {worker} still answers, and nothing replaces it {cure}\n"
    );
    for command in ["health", "upgrade"] {
        let refused = serving.command(&[command])?;
        refused.equal("exit status", &refused.status, &Some(1))?;
        refused.equal("message", &refused.stderr, &line)?;
    }
    serving.start_again()?;
    serving.command(&["health"])?.succeeded()?;
    serving.stop()
}

/// Whoever kills all processes of a control group takes the keeper or the worker, not
/// both; the group is gone with the daemon.
fn killing_a_group() -> Verdict {
    let serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    ensure!(serving.status().get("separate_group") == Some(&true.into()), "{:#}", serving.status());
    let group = entered_group(&serving)?;
    let worker = serving.worker()?.context("nobody serves")?;
    let processes = std::fs::read_to_string(group.join("cgroup.procs"))?;
    ensure!(processes.trim() == worker.to_string(), "in the workers' group: {processes}");
    for process in processes.lines() {
        kill(Pid::from_raw(process.parse()?), Signal::SIGKILL)?;
    }
    serving.until("another worker serves", || Ok(serving.generation()? == 2))?;
    let next = serving.worker()?.context("nobody serves")?;
    serving.until("so does the next one", || Ok(group_of(next)? == group))?;
    readers.finish()?.nothing_wrong("a group that was killed")?;
    serving.stop()?;
    ensure!(!group.exists(), "{} is left", group.display());
    Ok(())
}

/// The workers' group, which the worker that serves has entered.
fn entered_group(serving: &Serving) -> Result<PathBuf> {
    let worker = serving.worker()?.context("nobody serves")?;
    let group = group_of(serving.keeper())?.join(format!("portholefs-{}", serving.keeper()));
    serving.until("the worker enters its group", || Ok(group_of(worker)? == group))?;
    Ok(group)
}

/// The next daemon removes it: when nobody is left, and when the worker is.
fn group_is_removed() -> Verdict {
    let mut serving = Serving::start(&[])?;
    for kill in [Serving::kill_all, Serving::kill_keeper] {
        let group = entered_group(&serving)?;
        kill(&mut serving)?;
        ensure!(group.exists(), "{} is gone already: nothing is tested", group.display());
        serving.start_again()?;
        serving.until("the group of the killed keeper is removed", || Ok(!group.exists()))?;
    }
    serving.stop()
}

/// The folder of the group in which the number of processes is limited.
fn group_of(process: Pid) -> Result<PathBuf> {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let is_it = |line: &&str| line.contains(":pids:") || line.starts_with("0::");
    let line = groups.lines().find(is_it).context("no group")?;
    let path = line.rsplit(':').next().unwrap_or_default();
    Ok(group::hierarchy("pids")?.join(path.trim_start_matches('/')))
}

fn porthole_run_continues() -> Verdict {
    let (serving, worker) = orphan()?;
    let readers = Readers::start(&serving)?;
    let place = serving.mount_point();
    let run = || {
        let mut porthole = Command::new("timeout");
        porthole.arg("60").arg(binaries::path("porthole")?);
        porthole.arg("--state-dir").arg(place.with_file_name("state"));
        porthole.args(["run", "-m", "64m", "--view"]).arg(&place).args(["--", "free", "-m"]);
        Ran::new(porthole.env(leaks::MARK, leaks::mark()))?.succeeded()
    };
    let first = run()?;
    let told = format!("portholefs has lost its keeper at {}: started one", place.display());
    first.holds("it says so", first.stderr.contains(&told))?;
    first.holds("free shows the limit", first.stdout.contains("Mem:              64 "))?;
    let keeper = Pid::from_raw(i32::try_from(serving.number("keeper_pid")?)?);
    ensure!(serving.worker()? != Some(worker), "the worker without a keeper serves on");
    let second = run()?;
    second.equal("standard error", &second.stderr.as_str(), &"")?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let here = mounts.lines().filter(|line| line.contains(&format!(" {} ", place.display())));
    ensure!(here.count() == 1, "not one mount at {}:\n{mounts}", place.display());
    readers.finish()?.nothing_wrong("a keeper started by porthole run")?;
    kill(keeper, Signal::SIGTERM)?;
    serving.until("it stops", || Ok(!Path::new(&format!("/proc/{keeper}")).exists()))
}

/// The keeper is killed within milliseconds of its worker's death, while another
/// one starts. That one, who serves nobody yet, holds the readers' requests.
fn killed_at_any_instant() -> Verdict {
    let mut serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    for moment in 0..30 {
        let worker = serving.worker()?.context("nobody serves")?;
        kill(worker, Signal::SIGKILL)?;
        serving.until("another worker starts", || {
            let children = process::descendants(serving.keeper())?;
            Ok(children.into_iter().any(|child| child != worker && is_worker(child)))
        })?;
        thread::sleep(Duration::from_micros(200 * moment));
        serving.kill_keeper()?;
        serving.start_again()?;
    }
    readers.finish()?.nothing_wrong("30 kills of worker and keeper")?;
    serving.stop()
}

fn is_worker(process: Pid) -> bool {
    let command = std::fs::read_to_string(format!("/proc/{process}/cmdline"));
    command.is_ok_and(|command| command.contains("\0--bank\0"))
}
