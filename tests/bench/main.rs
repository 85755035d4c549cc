//! What a read costs: the kernel's own file, the [`floor`] of FUSE, lxcfs and
//! portholefs, in one run.
//!
//! Absolute times move with the load of the machine, so all are read in turns, by
//! the same process in the same container, and compared as ratios. The long tier of
//! tests looks whether anything is slower than lxcfs, and what it costs that system calls
//! are [`answered`]; `cargo xtask bench` starts this
//! program for all [`figures`].

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what the program is for"
)]

mod answered;
mod calls;
mod figures;
mod first;
mod floor;
mod loops;
mod memory;
mod private;
mod reader;
mod rivals;
mod starts;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Group, Need, Verdict, alone};

use reader::{Load, Span, Timing, Way};
use rivals::Rivals;

const NEEDS: &[Need] = &[
    Need::Full,
    Need::NativeSpeed,
    Need::Container,
    Need::Controller("memory"),
    Need::Program("lxcfs", "lxcfs"),
];

const CHURN_NEEDS: &[Need] =
    &[Need::Full, Need::NativeSpeed, Need::Container, Need::Controller("memory")];

/// The files that lxcfs serves too.
pub(crate) const FILES: &[&str] =
    &["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg", "proc/swaps"];

/// How often each is measured, in turns.
const ROUNDS: usize = 5;

/// What a reader does in the long tier.
const LOAD: Load = Load { way: Way::Open, threads: 1, span: Span::Milliseconds(400) };

fn main() -> ExitCode {
    let roles =
        [answered::main, reader::main, first::main, loops::main, floor::main, figures::main];
    if let Some(exit) = roles.iter().find_map(|role| role()) {
        return exit;
    }
    support::program::main(trials())
}

fn trials() -> Vec<Trial> {
    let mut trials = answered::trials();
    trials.push(alone("a_read_costs_less_than_lxcfs", NEEDS, compare));
    trials.push(alone(
        "an_hour_of_containers_leaves_nothing",
        CHURN_NEEDS,
        memory::an_hour_is_flat,
    ));
    trials
}

/// Measures every file, prints the table, and fails where a read through
/// portholefs takes longer than one through lxcfs.
fn compare() -> Verdict {
    let group = limited_group()?;
    let rivals = Rivals::start()?;
    println!(
        "\n{:14}{:>12}{:>12}{:>26}{:>26}{:>12}{:>12}{:>13}",
        "p50 / p99, us",
        "kernel",
        "floor",
        "lxcfs",
        "portholefs",
        "lxcfs/ours",
        "ours/floor",
        "ours/kernel"
    );
    let mut slower = Vec::new();
    for file in FILES {
        let rounds = measure(&group, &rivals, file, LOAD, ROUNDS)?;
        let timings: Vec<_> = rounds.into_iter().map(reader::median).collect();
        let [kernel, floor, lxcfs, ours, ..] = timings.as_slice() else {
            anyhow::bail!("there are not four rivals")
        };
        println!(
            "{file:14}{:>12}{:>12}{:>26}{:>26}{:>12.1}{:>12.2}{:>13.1}",
            kernel.short(),
            floor.short(),
            lxcfs.long(),
            ours.long(),
            lxcfs.p50 / ours.p50,
            ours.p50 / floor.p50,
            ours.p50 / kernel.p50
        );
        if ours.p50 > lxcfs.p50 {
            slower.push(*file);
        }
    }
    rivals.stop()?;
    anyhow::ensure!(slower.is_empty(), "slower than lxcfs: {slower:?}");
    Ok(())
}

/// A control group with limits, as a container has.
pub(crate) fn limited_group() -> Result<Group> {
    let group = Group::new(&["memory", "cpu"])?;
    group.limit_memory(256 << 20)?;
    group.limit_cpu(150_000)?;
    Ok(group)
}

/// Reads `file` of each rival in turns; the rounds of each. Every other round is in the
/// opposite order, so that nobody is always the one who reads after a certain other.
pub(crate) fn measure(
    group: &Group,
    rivals: &Rivals,
    file: &str,
    load: Load,
    rounds: usize,
) -> Result<Vec<Vec<Timing>>> {
    let mut timings: Vec<Vec<Timing>> = rivals.all().iter().map(|_rival| Vec::new()).collect();
    for round in 0..rounds {
        let mut turns: Vec<_> = timings.iter_mut().zip(rivals.all()).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (timings, rival) in turns {
            timings.push(reader::time(group, rival, file, load)?);
        }
    }
    Ok(timings)
}
