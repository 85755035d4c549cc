//! The life of the process that holds listeners: it ends with its last container, nobody
//! begins another one for a container that has ended, and no answerer outlives it.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use support::random::Random;
use support::{Container, Need, Ran, Verdict, alone, binaries, daemon, process, speed, trial};

use crate::callers::Callers;
use crate::calls::holder;

const CONTAINER: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Controller("cpu")];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::File("/usr/bin/python3", "python3")];
const BASH: &[Need] = &[Need::Root, Need::Program("bash", "bash")];

/// How long a process may take to come or go.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_answerer_without_its_holder_ends", BASH, an_answerer_without_its_holder_ends),
        alone("a_holder_that_ends_is_not_replaced", PYTHON, a_holder_that_ends_is_not_replaced),
        alone("no_answerer_outlives_its_holder", CONTAINER, no_answerer_outlives_its_holder),
    ]
}

/// Waits until `is_so`.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Verdict {
    let deadline = Instant::now() + speed::time(PATIENCE);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn is_there(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// Where the holder of the shared daemon listens.
fn holders_socket() -> Result<PathBuf> {
    Ok(daemon::shared()?.with_file_name(".fs.calls"))
}

/// Asks the holder to end with what it holds, as a daemon does that stops.
fn ask_to_end() -> Verdict {
    let asking = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(asking.as_raw_fd(), &UnixAddr::new(&holders_socket()?)?)?;
    nix::unistd::write(&asking, b"e")?;
    Ok(())
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

/// Killed at any instant, also while an answerer starts.
fn no_answerer_outlives_its_holder() -> Verdict {
    let callers = Callers::start(2)?;
    let mut random = Random::new();
    let mut answerers = Vec::new();
    for _kill in 0..speed::repetitions(20) {
        let held = holder()?;
        let answerer = process::child(held, "portholefs")?;
        kill(answerer, Signal::SIGKILL)?;
        thread::sleep(speed::time(Duration::from_micros(random.below(8_000))));
        answerers.extend(process::descendants(held)?);
        kill(held, Signal::SIGKILL)?;
        wait("another one holds listeners", || Ok(holder().is_ok_and(|next| next != held)))?;
    }
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
