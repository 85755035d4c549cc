//! What it costs that some system calls of a container are answered: those calls, and all
//! others, which only pass by a filter more.
//!
//! The program is also the caller in the container. Others are measured in turns with a
//! container whose calls nobody answers, and the quickest of many batches counts: what
//! disturbs a batch makes it slower, never quicker.

use std::cmp::Ordering;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sched::sched_getaffinity;
use nix::sys::sysinfo::sysinfo;
use nix::unistd::{Pid, getppid};
use support::{Need, Verdict, alone, container};

/// Set for a caller, to what it shall call.
const CALLER: &str = "PORTHOLE_BENCH_CALLER";

const NEEDS: &[Need] = &[
    Need::Full,
    Need::NativeSpeed,
    Need::Container,
    Need::Controller("memory"),
    Need::Controller("cpu"),
];

/// What an answered call may take, in microseconds, half of the time.
const MOST_US: f64 = 60.0;

/// What another call may take for each that nobody filters: what is left of a difference
/// when the quickest batches of the same program are compared with each other.
const MOST_RATIO: f64 = 1.04;

/// Calls that are timed one by one.
const CALLS: usize = 20_000;

/// Calls before them, which bring into memory what they need.
const WARM_UP: usize = 500;

/// Calls that are timed together, and how often.
const BATCH: u32 = 100_000;
const BATCHES: usize = 20;

/// How often each container is started.
const ROUNDS: usize = 5;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("an_answered_call_takes_less_than_60_us", NEEDS, answered),
        alone("other_calls_take_no_longer", NEEDS, others),
    ]
}

/// Calls, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let what = std::env::var(CALLER).ok()?;
    let numbers = match what.as_str() {
        "sysinfo" => each(|| sysinfo().is_ok()),
        "sched_getaffinity" => each(|| sched_getaffinity(Pid::from_raw(0)).is_ok()),
        _others => vec![quickest_batch()],
    };
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    println!("{}", numbers.join(" "));
    Some(ExitCode::SUCCESS)
}

/// Half of the calls and all but one in a hundred take at most so long, in microseconds.
fn each(call: impl Fn() -> bool) -> Vec<f64> {
    let mut times: Vec<f64> = (0..WARM_UP + CALLS)
        .map(|_call| {
            let began = Instant::now();
            let is_answered = call();
            let took = began.elapsed().as_secs_f64() * 1e6;
            // Whoever is not answered at all is not quick.
            if is_answered { took } else { f64::INFINITY }
        })
        .skip(WARM_UP)
        .collect();
    times.sort_by(f64::total_cmp);
    [50, 99].iter().filter_map(|part| times.get(times.len() * part / 100).copied()).collect()
}

/// Nanoseconds for one call that nobody answers.
fn quickest_batch() -> f64 {
    let batch = || {
        let began = Instant::now();
        for _call in 0..BATCH {
            black_box(getppid());
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    };
    (0..BATCHES).map(|_batch| batch()).fold(f64::INFINITY, f64::min)
}

/// Runs the caller in a container, and returns what it says.
fn called(what: &str, options: &[&str]) -> Result<Vec<f64>> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program is in a folder")?.display();
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let (volume, variable) = (format!("{folder}:/tests:ro"), format!("{CALLER}={what}"));
    let fixed = ["-m", "256m", "--cpus", "1.5", "-v", &volume, "-e", &variable];
    let ran = container::run(&[&fixed, options].concat(), &[&format!("/tests/{name}")])?;
    let numbers = ran.stdout.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>();
    numbers.with_context(|| format!("there are no numbers\n{ran}"))
}

fn answered() -> Verdict {
    let mut slow = Vec::new();
    for call in ["sysinfo", "sched_getaffinity"] {
        let mut rounds = Vec::new();
        for _round in 0..ROUNDS {
            rounds.push(called(call, &[])?);
        }
        rounds.sort_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
        let kernels = called(call, &["--no-syscall-view"])?;
        let ours = rounds.get(ROUNDS / 2).context("there are no rounds")?;
        println!("{call}, p50 / p99, us: {ours:.1?}; the kernel's own: {kernels:.1?}");
        slow.extend(ours.first().filter(|p50| **p50 >= MOST_US).map(|p50| (call, *p50)));
    }
    ensure!(slow.is_empty(), "not within {MOST_US} us: {slow:?}");
    Ok(())
}

fn others() -> Verdict {
    let (mut ours, mut without) = (f64::INFINITY, f64::INFINITY);
    for _round in 0..ROUNDS {
        ours = called("others", &[])?.into_iter().fold(ours, f64::min);
        without = called("others", &["--no-syscall-view"])?.into_iter().fold(without, f64::min);
    }
    let ratio = ours / without;
    println!("getppid: {ours:.1} ns, {without:.1} ns where nobody answers calls: {ratio:.3}");
    ensure!(ratio <= MOST_RATIO, "{ratio:.3} of what it takes without");
    Ok(())
}
