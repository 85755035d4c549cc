//! The life of `portholefs`: start, refuse, stop, replace.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill, killpg};
use support::daemon::is_mounted;
use support::{Daemon, Need, Ran, Verdict, binaries, trial};

const FUSE: &[Need] = &[Need::Container];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("stops_on_sigterm_and_unmounts", FUSE, stops_on_sigterm_and_unmounts),
        trial("told_to_stop_again_and_again_it_unmounts", FUSE, stops_when_told_again),
        trial("second_daemon_is_refused_with_the_pid_of_the_first", FUSE, second_daemon_is_refused),
        trial("dead_mount_is_replaced", FUSE, dead_mount_is_replaced),
        trial("daemon_in_the_background", FUSE, daemon_in_the_background),
        trial("status_names_the_process", FUSE, status_names_the_process),
        trial("help_teaches", &[], help_teaches),
    ]
}

fn portholefs(words: &[&str]) -> Result<Ran> {
    Ran::new(Command::new("timeout").arg("60").arg(binaries::path("portholefs")?).args(words))
}

fn stops_on_sigterm_and_unmounts() -> Verdict {
    Daemon::start()?.stop()
}

/// As `timeout` does, and whoever presses Ctrl-C twice: all its processes are told, also
/// the one that unmounts.
fn stops_when_told_again() -> Verdict {
    let folder = support::folder()?;
    let mount_point = folder.path().join("fs");
    let mut command = Command::new(binaries::path("portholefs")?);
    command.arg("serve").arg(&mount_point).stderr(std::process::Stdio::null()).process_group(0);
    let mut keeper = command.spawn()?;
    wait_for(&mount_point.join("proc/meminfo"))?;
    let group = nix::unistd::Pid::from_raw(keeper.id().cast_signed());
    let status = loop {
        if let Some(status) = keeper.try_wait()? {
            break status;
        }
        killpg(group, Signal::SIGTERM)?;
    };
    let left = is_mounted(&mount_point);
    if left {
        nix::mount::umount2(&mount_point, nix::mount::MntFlags::MNT_DETACH)?;
    }
    ensure!(status.success() && !left, "it ended with {status}, and a mount is left: {left}");
    Ok(())
}

fn second_daemon_is_refused() -> Verdict {
    let daemon = Daemon::start()?;
    let second = portholefs(&["serve", &daemon.mount_point().to_string_lossy()])?;
    second.equal("exit status", &second.status, &Some(1))?;
    let pid = daemon.pid().to_string();
    let line = second.stderr.lines().find(|line| line.contains(&pid)).unwrap_or_default();
    second.holds("one line names the first daemon's pid", !line.is_empty())?;
    daemon.stop()
}

/// A daemon killed with all its processes leaves a mount whose every use fails;
/// the next start on it must need nobody's help.
fn dead_mount_is_replaced() -> Verdict {
    let folder = support::folder()?;
    let mount_point = folder.path().join("fs");
    let start = || -> Result<std::process::Child> {
        let mut command = Command::new(binaries::path("portholefs")?);
        let child =
            command.arg("serve").arg(&mount_point).stderr(std::process::Stdio::null()).spawn()?;
        wait_for(&mount_point.join("proc/meminfo"))?;
        Ok(child)
    };
    let mut first = start()?;
    let worker = status(&mount_point.to_string_lossy(), "worker_pid")?;
    first.kill()?;
    first.wait()?;
    kill(worker, Signal::SIGKILL)?;
    ensure!(is_mounted(&mount_point), "the kill has unmounted it, so nothing is tested");
    let dead = || std::fs::read(mount_point.join("proc/meminfo")).is_err();
    eventually("the worker dies", dead)?;
    let mut second = start()?;
    kill(nix::unistd::Pid::from_raw(second.id().cast_signed()), Signal::SIGTERM)?;
    ensure!(second.wait()?.success(), "the second daemon failed");
    ensure!(!is_mounted(&mount_point), "a mount is left");
    Ok(())
}

fn daemon_in_the_background() -> Verdict {
    let folder = support::folder()?;
    let mount_point = folder.path().join("fs");
    let path = mount_point.to_string_lossy();
    portholefs(&["serve", "--daemon", &path])?.succeeded()?;
    // It has returned, so it serves: no waiting here.
    ensure!(!std::fs::read(mount_point.join("proc/meminfo"))?.is_empty(), "it does not serve yet");
    let pid = status(&path, "keeper_pid")?;
    kill(pid, Signal::SIGTERM)?;
    eventually("it stops", || !is_mounted(&mount_point))
}

fn status_names_the_process() -> Verdict {
    let daemon = Daemon::start()?;
    let pid = status(&daemon.mount_point().to_string_lossy(), "keeper_pid")?;
    ensure!(pid == daemon.pid(), "status names {pid}, expected {}", daemon.pid());
    daemon.stop()
}

/// The process that `portholefs status --json` calls `key`.
fn status(mount_point: &str, key: &str) -> Result<nix::unistd::Pid> {
    let status = portholefs(&["status", "--json", mount_point])?.succeeded()?;
    let json: serde_json::Value = serde_json::from_str(&status.stdout)?;
    let pid = json.get(key).and_then(serde_json::Value::as_i64);
    let pid = pid.with_context(|| format!("there is no {key}\n{status}"))?;
    Ok(nix::unistd::Pid::from_raw(pid.try_into()?))
}

fn help_teaches() -> Verdict {
    let help = portholefs(&["--help"])?.succeeded()?;
    for word in ["Usage:", "Examples:", "/var/lib/porthole/fs", "status"] {
        help.holds(&format!("it says {word:?}"), help.stdout.contains(word))?;
    }
    Ok(())
}

fn wait_for(file: &Path) -> Verdict {
    let served = || std::fs::read(file).is_ok_and(|text| !text.is_empty());
    eventually(&format!("{} is served", file.display()), served)
}

/// Waits until `condition` holds, far longer than it needs.
fn eventually(what: &str, condition: impl Fn() -> bool) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        ensure!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
