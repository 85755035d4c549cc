//! What a read costs: the kernel's own file, the [`floor`] of FUSE, lxcfs and
//! portholefs, in one run.
//!
//! Absolute times move with the load of the machine, so the four are read in
//! turns, by the same process in the same container, and compared as ratios.
//! One operation is open, read to the end, close: what `free` and `cat` do.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what the program is for"
)]

mod floor;
mod reader;
mod rivals;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Group, Need, Verdict, alone};

use reader::Timing;
use rivals::Rivals;

const NEEDS: &[Need] = &[
    Need::Full,
    Need::NativeSpeed,
    Need::Container,
    Need::Controller("memory"),
    Need::Program("lxcfs", "lxcfs"),
];

/// The files that lxcfs serves too.
const FILES: &[&str] =
    &["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg", "proc/swaps"];

/// How often each is measured, in turns.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    if let Some(exit) = reader::main().or_else(floor::main) {
        return exit;
    }
    support::program::main(trials())
}

fn trials() -> Vec<Trial> {
    vec![alone("a_read_costs_less_than_lxcfs", NEEDS, compare)]
}

/// Measures every file, prints the table, and fails where a read through
/// portholefs takes longer than one through lxcfs.
fn compare() -> Verdict {
    let group = Group::new(&["memory", "cpu"])?;
    group.limit_memory(256 << 20)?;
    group.limit_cpu(150_000)?;
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
        let [kernel, floor, lxcfs, ours] = measure(&group, &rivals, file)?;
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

/// Reads `file` of each rival in turns; the median round of each.
fn measure(group: &Group, rivals: &Rivals, file: &str) -> Result<[Timing; 4]> {
    let mut rounds: [Vec<Timing>; 4] = Default::default();
    for _round in 0..ROUNDS {
        for (timings, rival) in rounds.iter_mut().zip(rivals.all()) {
            timings.push(reader::time(group, rival, file)?);
        }
    }
    Ok(rounds.map(reader::median))
}
