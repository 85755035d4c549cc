//! Those who answer system calls are killed at any instant; no caller may notice more
//! than a delay.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::random::Random;
use support::{Need, Verdict, alone, daemon, process, speed};

use crate::callers::{Callers, Seen};

const QUICK: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Controller("cpu")];
const LONG: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Controller("cpu"), Need::Full];
/// How long a call may take while answerers are killed.
const STALL: Duration = Duration::from_secs(2);

/// How long an answerer may take to be replaced.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("killed_answerers_are_not_noticed", QUICK, || kills(5, 40)),
        alone("many_killed_answerers_are_not_noticed_in_twenty_containers", LONG, || {
            kills(20, 500)
        }),
        alone("a_stopped_answerer_is_replaced", QUICK, a_stopped_answerer_is_replaced),
        alone("a_killed_holder_is_replaced", QUICK, a_killed_holder_is_replaced),
    ]
}

/// The holder of the daemon that all trials share. Whoever starts one has nearly the same
/// command line, but tells nobody when it is ready.
pub(crate) fn holder() -> Result<Pid> {
    let mount_point = daemon::shared()?;
    let is_it = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let path = mount_point.as_os_str().as_encoded_bytes();
        [&b"holder"[..], b"--announce", path].iter().all(|word| words.contains(word))
    };
    let entries = std::fs::read_dir("/proc")?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(is_it).map(Pid::from_raw).context("nobody holds listeners")
}

/// Kills the answerer and waits for the next one.
pub(crate) fn replace(holder: Pid, answerer: Pid, signal: Signal) -> Result<Pid> {
    kill(answerer, signal)?;
    let deadline = Instant::now() + speed::time(PATIENCE);
    loop {
        let others = process::descendants(holder)?;
        if let Some(next) = others.into_iter().find(|next| *next != answerer) {
            return Ok(next);
        }
        ensure!(Instant::now() < deadline, "answerer {answerer} is not replaced");
        thread::sleep(Duration::from_micros(200));
    }
}

fn kills(containers: usize, count: u32) -> Verdict {
    let callers = Callers::start(containers)?;
    let holder = holder()?;
    let mut answerer = process::child(holder, "portholefs")?;
    let mut random = Random::new();
    let count = speed::repetitions(count);
    for _kill in 0..count {
        thread::sleep(speed::time(Duration::from_micros(random.below(30_000))));
        answerer = replace(holder, answerer, Signal::SIGKILL)?;
    }
    nothing_wrong(&callers.finish()?, &format!("{count} kills under {containers} containers"))
}

pub(crate) fn nothing_wrong(seen: &Seen, what: &str) -> Verdict {
    eprintln!("{what}: {} calls, the longest took {:?}", seen.calls, seen.longest);
    ensure!(seen.faults.is_empty(), "{what}: {:?}", seen.faults);
    ensure!(seen.longest < speed::time(STALL), "{what}: a call took {:?}", seen.longest);
    ensure!(seen.calls > 0, "{what}: nobody called");
    Ok(())
}

/// One that neither answers nor dies, as if a caller's memory kept it waiting.
fn a_stopped_answerer_is_replaced() -> Verdict {
    let callers = Callers::start(3)?;
    let holder = holder()?;
    let answerer = process::child(holder, "portholefs")?;
    let next = replace(holder, answerer, Signal::SIGSTOP)?;
    ensure!(next != answerer, "it goes on");
    thread::sleep(speed::time(Duration::from_millis(500)));
    let seen = callers.finish()?;
    eprintln!("stopped: {} calls, the longest took {:?}", seen.calls, seen.longest);
    ensure!(seen.faults.is_empty(), "{:?}", seen.faults);
    Ok(())
}

/// Monitors have kept the listeners, and start another holder. What had been taken is
/// the kernel's: then a caller may see the machine once, but no call fails.
fn a_killed_holder_is_replaced() -> Verdict {
    let callers = Callers::start(5)?;
    for _kill in 0..3 {
        let before = holder()?;
        kill(before, Signal::SIGKILL)?;
        let deadline = Instant::now() + speed::time(PATIENCE);
        while !holder().is_ok_and(|next| next != before) {
            ensure!(Instant::now() < deadline, "nobody holds listeners any more");
            thread::sleep(Duration::from_millis(2));
        }
        // All five have found it when it answers for all.
        thread::sleep(speed::time(Duration::from_millis(300)));
    }
    let seen = callers.finish()?;
    eprintln!("3 dead holders: {} calls, the longest took {:?}", seen.calls, seen.longest);
    let failed: Vec<_> = seen.faults.iter().filter(|fault| fault.contains(": E")).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    ensure!(seen.faults.len() <= 3 * 4, "{:?}", seen.faults);
    ensure!(seen.longest < speed::time(STALL), "a call took {:?}", seen.longest);
    Ok(())
}
