//! System calls of a daemon, counted by strace: those for one read, and those that start
//! processes.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Group, Ran};

use crate::reader::{self, Load, Span, WARM_UP, Way};
use crate::rivals::Rival;

/// Operations over which calls are counted.
const OPERATIONS: u64 = 1000;

/// How long strace may take to get hold of a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// All calls that start a process or a thread.
const STARTS: &str = "trace=clone,clone3,fork,vfork";

/// How often each system call was made for one operation on `file`, by all processes of
/// `rival` together.
pub(crate) fn per_read(group: &Group, rival: &Rival, file: &str) -> Result<BTreeMap<String, f64>> {
    let load = Load { way: Way::Open, threads: 1, span: Span::Operations(OPERATIONS) };
    let read = || Ran::new(&mut reader::command(group, rival, file, load)?)?.succeeded().map(drop);
    // What a first read costs is not counted.
    read()?;
    let calls = during(rival, &[], read)?;
    let operations = f64::from(u32::try_from(OPERATIONS)? + WARM_UP);
    Ok(calls.into_iter().map(|(name, count)| (name, count / operations)).collect())
}

/// How many processes and threads those of `rival` start during `what`.
pub(crate) fn starts(rival: &Rival, what: impl FnOnce() -> Result<()>) -> Result<f64> {
    // The sum of nothing is -0.0.
    Ok(during(rival, &["-e", STARTS], what)?.values().fold(0.0, |sum, count| sum + count))
}

/// How often each system call is made during `what`, of those that the options of strace
/// let through.
fn during(
    rival: &Rival,
    options: &[&str],
    what: impl FnOnce() -> Result<()>,
) -> Result<BTreeMap<String, f64>> {
    let folder = support::folder()?;
    let table = folder.path().join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name"]).args(options).arg("-o").arg(&table);
    for pid in &rival.pids {
        strace.args(["-p", &pid.to_string()]);
    }
    let strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let strace = strace.context("cannot run strace (apt-get install strace)")?;
    let done = rival.pids.iter().try_for_each(|pid| wait_until_traced(*pid)).and_then(|()| what());
    end(strace)?;
    done?;
    Ok(counts(&std::fs::read_to_string(&table)?).collect())
}

fn wait_until_traced(pid: Pid) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        let is_traced = |path: std::path::PathBuf| {
            std::fs::read_to_string(path.join("status"))
                .is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        };
        if tasks.flatten().all(|task| is_traced(task.path())) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "strace does not get hold of {pid}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Has strace let go and write its table.
fn end(mut strace: Child) -> Result<()> {
    kill(Pid::from_raw(strace.id().cast_signed()), Signal::SIGINT)?;
    strace.wait()?;
    Ok(())
}

/// The rows of strace's table: how often, and the call.
fn counts(table: &str) -> impl Iterator<Item = (String, f64)> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (count, name) = (fields.next()?.parse().ok()?, fields.next()?);
        (name != "total").then(|| (name.to_owned(), count))
    })
}
