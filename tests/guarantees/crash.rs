//! Workers are killed at any instant; no reader may notice more than a delay.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use support::{Need, Verdict, alone, speed};

use crate::readers::{Readers, Seen};
use crate::serving::Serving;

const QUICK: &[Need] = &[Need::Container, Need::Controller("memory")];
const LONG: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Full];

/// For tests of these tests, which kill until it is noticed: an imitated processor
/// is at it for half an hour.
const CONTROL: &[Need] = &[Need::Container, Need::Controller("memory"), Need::NativeSpeed];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("kills_at_random_instants_are_not_noticed", QUICK, || {
            random_kills(100).map(|_seen| ())
        }),
        alone("kills_a_millisecond_apart_are_not_noticed", QUICK, || {
            close_kills(100).map(|_seen| ())
        }),
        alone("many_kills_at_random_instants", LONG, || random_kills(1000)?.without_stall()),
        alone("many_kills_a_millisecond_apart", LONG, || close_kills(1000)?.without_stall()),
        alone("faults_and_aborts_are_not_noticed", QUICK, || faults_and_aborts().map(|_seen| ())),
        alone("requests_in_flight_are_answered", QUICK, || requests_in_flight().map(|_seen| ())),
        alone("a_dead_daemon_is_noticed", QUICK, a_dead_daemon_is_noticed),
        alone("buffers_that_are_not_in_memory_are_noticed", CONTROL, || is_noticed("prefault")),
        alone("requests_noted_after_they_were_read_are_noticed", CONTROL, || is_noticed("journal")),
    ]
}

/// Kills the worker `count` times with each of `signals` in turn, `gap_us`
/// microseconds apart at most; see [`speed`] for an imitated processor.
fn kills(options: &[&str], count: u32, signals: &[Signal], gap_us: u64) -> Result<Seen> {
    let serving = Serving::start(options)?;
    let readers = Readers::start(&serving)?;
    let mut random = 1_u64;
    let count = speed::repetitions(count);
    for signal in signals.iter().cycle().take(count as usize) {
        // A linear congruential generator: the same instants in every run.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(speed::time(Duration::from_micros((random >> 33) % gap_us)));
        serving.replace_worker(*signal)?;
    }
    let seen = readers.finish()?;
    seen.nothing_wrong(&format!("{count} kills"))?;
    serving.tells("takeovers", count.into())?;
    serving.stop()?;
    Ok(seen)
}

fn random_kills(count: u32) -> Result<Seen> {
    kills(&[], count, &[Signal::SIGKILL], 30_000)
}

/// Each successor is killed at most a millisecond after it began to serve.
fn close_kills(count: u32) -> Result<Seen> {
    kills(&[], count, &[Signal::SIGKILL], 1000)
}

fn faults_and_aborts() -> Result<Seen> {
    let signals = [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGBUS, Signal::SIGTERM];
    kills(&[], 40, &signals, 20_000)
}

/// Answers take 3 ms, so nearly every kill hits some.
fn requests_in_flight() -> Result<Seen> {
    kills(&["--rehearse", "slow=proc/meminfo"], 50, &[Signal::SIGKILL], 30_000)
}

/// The control: with a precaution left out, kills make readers complain or hang. Not
/// each kill does, so there are up to 2,000 of them.
fn is_noticed(precaution: &str) -> Verdict {
    for round in 1..=20 {
        let serving = Serving::start(&["--rehearse", &format!("without={precaution}")])?;
        let mut readers = Readers::start(&serving)?;
        for kill in 0..100 {
            thread::sleep(Duration::from_micros(kill * 37 % 1000));
            serving.replace_worker(Signal::SIGKILL)?;
        }
        let hang = readers.hang(Duration::from_secs(2))?;
        // Ends the session, and with it the waits.
        drop(serving);
        let faults = readers.finish()?.faults;
        if hang || !faults.is_empty() {
            eprintln!("noticed in round {round}; hang: {hang}, faults: {}", faults.len());
            return Ok(());
        }
    }
    anyhow::bail!("2,000 kills without {precaution} were not noticed")
}

/// The control: with keeper and worker dead, readers must complain.
fn a_dead_daemon_is_noticed() -> Verdict {
    let serving = Serving::start(&[])?;
    let readers = Readers::start(&serving)?;
    let worker = serving.worker()?.context("nobody serves")?;
    kill(serving.keeper(), Signal::SIGKILL)?;
    kill(worker, Signal::SIGKILL)?;
    let seen = readers.finish()?;
    ensure!(!seen.faults.is_empty(), "the readers would notice nothing");
    Ok(())
}
