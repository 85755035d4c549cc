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
mod floor;
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

/// The files that lxcfs serves too.
pub(crate) const FILES: &[&str] =
    &["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg", "proc/swaps"];

/// How often each is measured, in turns.
const ROUNDS: usize = 5;

/// What a reader does in the long tier.
const LOAD: Load = Load { way: Way::Open, threads: 1, span: Span::Milliseconds(400) };

fn main() -> ExitCode {
    if let Some(exit) =
        answered::main().or_else(reader::main).or_else(floor::main).or_else(figures::main)
    {
        return exit;
    }
    support::program::main(trials())
}

fn trials() -> Vec<Trial> {
    let mut trials = answered::trials();
    trials.push(alone("a_read_costs_less_than_lxcfs", NEEDS, compare));
    trials
}

/// Measures every file, prints the table, and fails where a read through
/// portholefs takes longer than one through lxcfs.
fn compare() -> Verdict {
    let group = limited_group()?;
    let rivals = Rivals::start(None)?;
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
        let timings = measure(&group, &rivals, file, LOAD, ROUNDS)?;
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

/// Reads `file` of each rival in turns; the median round of each.
pub(crate) fn measure(
    group: &Group,
    rivals: &Rivals,
    file: &str,
    load: Load,
    rounds: usize,
) -> Result<Vec<Timing>> {
    let mut timings: Vec<Vec<Timing>> = rivals.all().iter().map(|_rival| Vec::new()).collect();
    for _round in 0..rounds {
        for (timings, rival) in timings.iter_mut().zip(rivals.all()) {
            timings.push(reader::time(group, rival, file, load)?);
        }
    }
    Ok(timings.into_iter().map(reader::median).collect())
}
