//! Programs that people run to learn how big their machine is, each in a container
//! of half a GiB and one CPU.
//!
//! At every commit each program must say what docs/COMPATIBILITY.md says of it with
//! the files of `portholefs`: the container's number, if it looks into files. The
//! long tier runs them all four ways, and writes the page (`table`).

mod docker;
mod programs;
mod table;

use anyhow::{Context as _, Result};
use libtest_mimic::Trial;
use support::{Ran, Verdict, alone, container, daemon, trial};

use programs::{CHECKS, Check, Counts, Source};

/// What the container has: half a GiB and one CPU.
const OPTIONS: &[&str] = &["-m", "512m", "--memory-swap", "768m", "--cpus", "1"];
const MEMORY: u64 = 512 << 20;
const SWAP: u64 = 256 << 20;
const CPUS: u64 = 1;

/// How old a container may be when a program in it is done: [`ask`] sees to it.
const AGE: u64 = 60;

pub(crate) fn trials() -> Vec<Trial> {
    let each = CHECKS
        .iter()
        .map(|check| trial(&format!("tool {}", check.name), check.needs, || is_right(check)));
    let table = alone("the_table_of_programs_is_true", table::NEEDS, table::is_true);
    each.chain([table]).collect()
}

/// Runs a program with the files of the daemon: its number must be the container's
/// if it looks into files, and in any case what the table says.
fn is_right(check: &Check) -> Verdict {
    let ran = ask(check, &["--view", &daemon::shared()?.to_string_lossy()])?;
    let number = number(&ran.stdout);
    if !matches!(check.source, Source::Call(_)) {
        let is_right = number.is_some_and(|number| check.counts.is_right(number));
        ran.holds(&format!("{number:?} is {}", check.counts.expected()), is_right)?;
    }
    table::says(check, number).with_context(|| ran.to_string())
}

/// Runs a program in a new container.
fn ask(check: &Check, view: &[&str]) -> Result<Ran> {
    container::run(&[view, OPTIONS].concat(), &words(&script(check)))
}

/// What is typed into a shell.
fn script(check: &Check) -> String {
    format!("exec 2>&1; export LC_ALL=C; {}", check.command)
}

/// A command that runs `script`, and ends in time.
fn words(script: &str) -> [&str; 5] {
    ["timeout", "60", "sh", "-c", script]
}

/// The number that a command printed, alone on its last line.
fn number(text: &str) -> Option<u64> {
    let word = text.lines().next_back()?.trim();
    let whole = word.split_once('.').map_or(word, |(whole, _rest)| whole);
    whole.parse().ok()
}

impl Counts {
    /// Whether a program in the container may say so.
    fn is_right(self, number: u64) -> bool {
        match self {
            Self::Cpus => number == CPUS,
            Self::Memory(unit) => number * unit == MEMORY,
            Self::Swap(unit) => number * unit == SWAP,
            Self::Uptime => number <= AGE,
        }
    }

    /// What a program in the container must say, in words.
    fn expected(self) -> String {
        match self {
            Self::Cpus => self.said(CPUS),
            Self::Memory(unit) => self.said(MEMORY / unit),
            Self::Swap(unit) => self.said(SWAP / unit),
            Self::Uptime => self.said(0),
        }
    }
}
