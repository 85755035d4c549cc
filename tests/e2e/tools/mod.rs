//! Programs that people run to learn how big their machine is, each in a container
//! of half a GiB and one CPU.
//!
//! At every commit each program that looks into files must be right with the files
//! of `portholefs`. The long tier runs them all four ways and holds the outcome
//! against docs/COMPATIBILITY.md (`table`).

mod programs;
mod table;

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Ran, Verdict, alone, container, daemon, trial};

use programs::{CHECKS, Check, Counts, Source};

/// What the container has: half a GiB and one CPU.
const OPTIONS: &[&str] = &["-m", "512m", "--memory-swap", "768m", "--cpus", "1"];
const MEMORY: u64 = 512 << 20;
const CPUS: u64 = 1;

pub(crate) fn trials() -> Vec<Trial> {
    let of_files = CHECKS.iter().filter(|check| check.source == Source::Files);
    let each = of_files
        .map(|check| trial(&format!("tool {}", check.name), check.needs, || is_right(check)));
    let table = alone("the_table_of_programs_is_true", table::NEEDS, table::is_true);
    each.chain([table]).collect()
}

/// Runs a program with the files of the daemon: its number must be the container's.
fn is_right(check: &Check) -> Verdict {
    let ran = ask(check, &["--view", &daemon::shared()?.to_string_lossy()])?;
    let number = ran.find("number", number)?;
    ran.equal(check.name, &number, &check.counts.expected())
}

/// Runs a program in a new container.
fn ask(check: &Check, view: &[&str]) -> Result<Ran> {
    let limited = "exec 2>&1; export LC_ALL=C; ";
    let script = format!("{limited}{}", check.command);
    container::run(&[view, OPTIONS].concat(), &["timeout", "60", "sh", "-c", &script])
}

/// The number that a command printed, alone on its last line.
fn number(text: &str) -> Option<u64> {
    let word = text.lines().next_back()?.trim();
    let whole = word.split_once('.').map_or(word, |(whole, _zeros)| whole);
    whole.parse().ok()
}

impl Counts {
    /// What a program in the container must say.
    fn expected(self) -> u64 {
        match self {
            Self::Cpus => CPUS,
            Self::Memory(unit) => MEMORY / unit,
        }
    }
}
