//! The life of the process that holds listeners: it ends with its last container, nobody
//! begins another one for a container that has ended, no answerer outlives it, and the
//! version and the daemon beside it may change.

use std::fs::{self, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use procfs_fuse::shared::calls::LISTENERS;
use procfs_fuse::sys::descriptor;
use support::needs::online_cpus;
use support::random::Random;
use support::{
    Container, Daemon, Need, Ran, Verdict, alone, binaries, container, daemon, leaks, process,
    speed, trial,
};

use crate::callers::Callers;
use crate::calls::{holder, nothing_wrong};

const CONTAINER: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Controller("cpu")];
/// Fifty containers, of which each takes a second on an imitated processor.
const MANY: &[Need] =
    &[Need::Container, Need::Speed, Need::Controller("memory"), Need::Controller("cpu")];
/// It takes two minutes.
const FULL: &[Need] =
    &[Need::Container, Need::Full, Need::Controller("memory"), Need::Controller("cpu")];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::File("/usr/bin/python3", "python3")];
const BASH: &[Need] = &[Need::Root, Need::Program("bash", "bash")];

/// How long a process may take to come or go.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_answerer_without_its_holder_ends", BASH, an_answerer_without_its_holder_ends),
        alone("a_holder_that_ends_is_not_replaced", PYTHON, a_holder_that_ends_is_not_replaced),
        alone("an_upgrade_renews_who_answers", CONTAINER, an_upgrade_renews_who_answers),
        alone("what_exec_left_behind_fails_without_its_holder", PYTHON, left_by_exec),
        alone("without_a_holder_the_kernel_answers", CONTAINER, without_a_holder),
        alone("a_full_table_keeps_nobody_from_running", CONTAINER, without_a_place),
        alone("few_descriptors_are_enough", MANY, few_descriptors_are_enough),
        alone("what_was_answered_is_given_back", FULL, what_was_answered_is_given_back),
        alone("a_new_daemon_has_calls_counted", CONTAINER, a_new_daemon_has_calls_counted),
        alone("no_answerer_outlives_its_holder", CONTAINER, no_answerer_outlives_its_holder),
    ]
}

/// Waits until `is_so`.
pub(crate) fn wait(what: &str, is_so: impl FnMut() -> Result<bool>) -> Verdict {
    wait_for(PATIENCE, what, is_so)
}

/// Waits so long at most until `is_so`.
pub(crate) fn wait_for(
    patience: Duration,
    what: &str,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Verdict {
    let deadline = Instant::now() + speed::time(patience);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// It has not ended, whether or not somebody has taken note of that.
fn is_there(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("\nState:\tZ")
}

/// Where the holder of the shared daemon listens.
fn holders_socket() -> Result<PathBuf> {
    Ok(daemon::shared()?.with_file_name(".fs.calls"))
}

/// Asks the holder to end with what it holds, as a daemon does that stops.
fn ask_to_end() -> Verdict {
    nix::unistd::write(&connected()?, b"e")?;
    Ok(())
}

/// Connected to the holder, who promises a place if there is one.
fn connected() -> Result<OwnedFd> {
    let asking = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(asking.as_raw_fd(), &UnixAddr::new(&holders_socket()?)?)?;
    Ok(asking)
}

/// The memory says that nobody holds listeners: whoever was there was killed before it
/// could end us with itself.
fn an_answerer_without_its_holder_ends() -> Verdict {
    let folder = support::folder()?;
    let memory = folder.path().join("memory");
    std::fs::write(&memory, "")?;
    let script = "exec \"$0\" answerer /nowhere 100<>\"$1\" 101<>\"$1\" 102<>\"$1\" 103<>\"$1\"";
    let mut command = Command::new("timeout");
    command.args(["10", "bash", "-c", script]).arg(binaries::path("portholefs")?).arg(&memory);
    let ran = Ran::new(&mut command)?;
    ran.equal("exit code", &ran.status, &Some(1))?;
    let reason = "the process that holds listeners has ended";
    ran.holds("it says why", ran.stderr.contains(reason))
}

/// The kernel lets go of a process's filters before its memory, so with much memory there
/// is time in which the holder has ended and the container has not quite.
fn a_holder_that_ends_is_not_replaced() -> Verdict {
    const HELD: u64 = 128 << 20;
    let script = format!("held = b'x' * {HELD}; import time; time.sleep(600)");
    for _container in 0..3 {
        let container = Container::start(&["-m", "256m"], &["/usr/bin/python3", "-c", &script])?;
        wait("the container has its memory", || Ok(container.memory_usage()? >= HELD))?;
        let before = holder()?;
        ask_to_end()?;
        wait("it takes nothing new", || Ok(!holders_socket()?.exists()))?;
        ensure!(is_there(before), "the holder does not wait for its last container");
        kill(Pid::from_raw(container.init()?.try_into()?), Signal::SIGKILL)?;
        wait("the holder ends", || Ok(!is_there(before)))?;
        wait("the container ends", || Ok(!container.group("memory")?.exists()))?;
        let after = holder();
        ensure!(after.is_err(), "holder {after:?} has begun for a container that has ended");
    }
    Ok(())
}

/// The holder, once it has an answerer. Monitors start one each; those that find another
/// one end again.
fn answering() -> Result<(Pid, Pid)> {
    let mut found = None;
    wait("somebody answers", || {
        let Ok(held) = holder() else { return Ok(false) };
        found = process::descendants(held)?.first().map(|answerer| (held, *answerer));
        Ok(found.is_some())
    })?;
    found.context("nobody answers")
}

/// Killed at any instant, also while an answerer starts.
fn no_answerer_outlives_its_holder() -> Verdict {
    let callers = Callers::start(2)?;
    let mut random = Random::new();
    let mut answerers = Vec::new();
    for _kill in 0..speed::repetitions(20) {
        let (held, answerer) = answering()?;
        kill(answerer, Signal::SIGKILL)?;
        thread::sleep(speed::time(Duration::from_micros(random.below(8_000))));
        answerers.extend(process::descendants(held)?);
        kill(held, Signal::SIGKILL)?;
        wait("the holder is dead", || Ok(!is_there(held)))?;
    }
    answering()?;
    let seen = callers.finish()?;
    eprintln!("20 holders with their answerers: {} calls, {:?}", seen.calls, seen.longest);
    let failed: Vec<_> = seen.faults.iter().filter(|fault| fault.contains(": E")).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    wait("all answerers of dead holders are dead", || {
        Ok(answerers.iter().all(|answerer| !is_orphan(*answerer)))
    })
}

/// It lives, and its holder does not.
fn is_orphan(answerer: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{answerer}/status")).unwrap_or_default();
    status.contains("portholefs") && status.contains("\nPPid:\t1\n")
}

/// Ends the holder that is there, if there is one.
pub(crate) fn end_holder() -> Verdict {
    let Ok(before) = holder() else { return Ok(()) };
    ask_to_end()?;
    wait("the holder ends", || Ok(!is_there(before)))
}

/// What an exec has left running has nobody who finds another holder for it, as is said.
/// Its container has.
fn left_by_exec() -> Verdict {
    const ASKS: &str = "\
import os, sys, time
while not os.path.exists('/tmp/killed'): time.sleep(.01)
try: said = str(os.sched_getaffinity(0))
except OSError as error: said = os.strerror(error.errno)
open('/tmp/said', 'w').write(said)
";
    let container = Container::sleeping(&["--cpus", "1"])?;
    let script =
        format!("cat >/tmp/asks <<'END'\n{ASKS}END\nsetsid python3 /tmp/asks >/dev/null 2>&1 &");
    container.shell(&script)?;
    let held = holder()?;
    kill(held, Signal::SIGKILL)?;
    wait("its container has another holder", || Ok(holder().is_ok_and(|next| next != held)))?;
    let ran = container
        .shell("touch /tmp/killed; while ! test -s /tmp/said; do sleep .01; done; cat /tmp/said")?;
    ran.equal("what is left", &ran.stdout.trim(), &"Function not implemented")?;
    let ran = container.shell("nproc")?;
    ran.equal("what comes later", &ran.stdout.trim(), &"1")
}

/// One that cannot be reached: the container runs, and is told why.
fn without_a_holder() -> Verdict {
    end_holder()?;
    let socket = holders_socket()?;
    fs::create_dir(&socket)?;
    let ran = container::run(&["--cpus", "1"], &["nproc"])?.succeeded();
    fs::remove_dir(&socket)?;
    let ran = ran?;
    ran.equal("CPUs", &ran.stdout.trim(), &online_cpus().to_string().as_str())?;
    ran.holds("it says so", ran.stderr.contains("tell the host's numbers"))
}

fn open_files(pid: Pid) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// How many places the holder has: two descriptors for each, beside some others.
fn places(holder: Pid) -> Result<usize> {
    const OTHERS: usize = 256;
    let limits = fs::read_to_string(format!("/proc/{holder}/limits"))?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = limit.and_then(|line| line.split_ascii_whitespace().next()?.parse::<usize>().ok());
    Ok(LISTENERS.min((soft.context("no limit of open files")? - OTHERS) / 2))
}

/// Takes every place that is left: who is promised one keeps it while connected.
fn take_all_places() -> Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    loop {
        let asking = connected()?;
        let mut word = [0];
        nix::unistd::read(&asking, &mut word)?;
        if word != *b"y" {
            return Ok(taken);
        }
        taken.push(asking);
    }
}

/// The container runs, and is told why it sees the host; what has a place is answered, and
/// the holder listens to everybody who wants none.
fn without_a_place() -> Verdict {
    // For the other ends of all connections.
    descriptor::granted(2 * LISTENERS as u64)?;
    let callers = Callers::start(2)?;
    let held = holder()?;
    let first = process::child(held, "portholefs")?;
    let taken = take_all_places()?;
    let all = places(held)?;
    ensure!(taken.len() + 2 == all, "{} places of {all} beside two in use", taken.len());
    let ran = container::run(&["--cpus", "1"], &["nproc"])?.succeeded()?;
    ran.equal("CPUs", &ran.stdout.trim(), &online_cpus().to_string().as_str())?;
    let said = format!("all places at {} are taken", holders_socket()?.display());
    let lines = ran.stderr.lines().filter(|line| line.ends_with(&said)).count();
    ran.equal("lines that say so", &lines, &1)?;
    nix::unistd::write(&connected()?, b"r")?;
    wait("another one answers", || Ok(process::child(held, "portholefs")? != first))?;
    ask_to_end()?;
    wait("it takes nothing new", || Ok(!holders_socket()?.exists()))?;
    nothing_wrong(&callers.finish()?, "beside a full table")?;
    ensure!(is_there(held), "the holder does not wait for who was promised a place");
    drop(taken);
    wait("the holder ends", || Ok(!is_there(held)))
}

/// Fewer than it takes to keep all files of so many containers open.
fn few_descriptors_are_enough() -> Verdict {
    end_holder()?;
    let mut command = Command::new("prlimit");
    command.arg("--nofile=1024:1024").arg(binaries::path("portholefs")?);
    command.args(["holder", "--daemon"]).arg(daemon::shared()?).env(leaks::MARK, leaks::mark());
    Ran::new(&mut command)?.succeeded()?;
    let callers = Callers::start(50)?;
    let answerer = process::child(holder()?, "portholefs")?;
    thread::sleep(Duration::from_secs(1));
    let open = open_files(answerer)?;
    nothing_wrong(&callers.finish()?, &format!("fifty containers with {open} descriptors"))?;
    end_holder()
}

/// Files of callers and containers that have ended are closed without being asked again.
fn what_was_answered_is_given_back() -> Verdict {
    let lasting = Container::sleeping(&["--cpus", "1"])?;
    let answerer = process::child(holder()?, "portholefs")?;
    let before = open_files(answerer)?;
    Callers::start(5)?.finish()?;
    let during = open_files(answerer)?;
    ensure!(during > before + 10, "{before} and then {during}: nothing was kept open");
    thread::sleep(Duration::from_secs(125));
    let after = open_files(answerer)?;
    drop(lasting);
    ensure!(after <= before + 4, "{after} of {during} descriptors are open, and {before} were");
    Ok(())
}

/// Puts `program` in the place of `path`, as a package manager does.
pub(crate) fn install(program: &[u8], path: &Path) -> Verdict {
    let new = path.with_extension("new");
    fs::write(&new, program)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))?;
    Ok(fs::rename(new, path)?)
}

/// Which file a process was started from.
pub(crate) fn program_of(pid: Pid) -> Result<u64> {
    Ok(fs::metadata(format!("/proc/{pid}/exe"))?.ino())
}

/// Waits until an answerer other than `before` was started from `program`.
fn renewed(holder: Pid, before: Pid, program: u64) -> Result<Pid> {
    let mut found = before;
    wait("another one answers", || {
        found = process::child(holder, "portholefs")?;
        Ok(found != before && program_of(found).is_ok_and(|file| file == program))
    })?;
    Ok(found)
}

/// Whoever answers is of the installed version afterwards, and of the one before where
/// that does not start; callers notice a delay.
fn an_upgrade_renews_who_answers() -> Verdict {
    let folder = support::folder()?;
    let program = folder.path().join("portholefs");
    let version = fs::read(binaries::path("portholefs")?)?;
    install(&version, &program)?;
    end_holder()?;
    let tree = daemon::shared()?;
    let mut command = Command::new(&program);
    command.args(["holder", "--daemon"]).arg(&tree).env(leaks::MARK, leaks::mark());
    Ran::new(&mut command)?.succeeded()?;
    let callers = Callers::start(3)?;
    let holder = holder()?;
    let first = process::child(holder, "portholefs")?;
    install(&version, &program)?;
    let installed = fs::metadata(&program)?.ino();
    ensure!(program_of(first)? != installed, "they are one file");
    portholefs("upgrade", &tree)?;
    let second = renewed(holder, first, installed)?;
    install(b"#!/bin/false\n", &program)?;
    portholefs("upgrade", &tree)?;
    renewed(holder, second, installed)?;
    thread::sleep(speed::time(Duration::from_millis(300)));
    nothing_wrong(&callers.finish()?, "two upgrades")?;
    end_holder()
}

pub(crate) fn portholefs(word: &str, tree: &Path) -> Result<Ran> {
    Ran::new(Command::new(binaries::path("portholefs")?).arg(word).arg(tree))?.succeeded()
}

/// Everything but the container and its holder is killed; where the next daemon counts is
/// where calls are counted from then on.
fn a_new_daemon_has_calls_counted() -> Verdict {
    const SCRIPT: &str = "while :; do nproc >/dev/null; done";
    const COUNTED: &str = "porthole_calls_total{call=\"sched_getaffinity\",outcome=\"container\"} ";
    let mut daemon = Daemon::start()?;
    let tree = daemon.mount_point();
    let counted = || -> Result<u64> {
        let text = portholefs("metrics", &tree)?.stdout;
        let line = text.lines().find_map(|line| line.strip_prefix(COUNTED));
        line.context("calls are not told")?.parse().context("not a number")
    };
    let mut command = container::run_command(&["--cpus", "1"], &["sh", "-c", SCRIPT])?;
    let mut running = command.env("PORTHOLE_VIEW", &tree).spawn()?;
    wait("calls are counted", || Ok(counted()? > 0))?;
    daemon.kill()?;
    daemon.start_again()?;
    let daemon = daemon.served_at(&tree)?;
    let told = wait("calls are counted by the next daemon", || Ok(counted()? > 0));
    kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGTERM)?;
    running.wait()?;
    told?;
    daemon.stop()
}
