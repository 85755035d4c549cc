//! Programs that people run to learn how big their machine is, each in a container
//! of half a GiB and one CPU.
//!
//! At every commit each program must say what docs/COMPATIBILITY.md says of it with
//! the files of `portholefs`: the container's number, if it looks into files; in the
//! VM only those that people ask first. The long tier runs them all, everywhere, four
//! ways, and writes the page (`table`).

mod page;
mod programs;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::{Ran, Verdict, alone, container, daemon, needs, trial};

use programs::{CHECKS, Check, Counts, Source};

/// What the container has: half a GiB and one CPU.
const OPTIONS: &[&str] = &["-m", "512m", "--memory-swap", "768m", "--cpus", "1"];
const MEMORY: u64 = 512 << 20;
const SWAP: u64 = 256 << 20;
const CPUS: u64 = 1;

/// What programs and we may add to an age by rounding, in seconds: each clock ticks
/// once a second.
const ROUNDED: u64 = 2;

pub(crate) fn trials() -> Vec<Trial> {
    let each = CHECKS
        .iter()
        .map(|check| trial(&format!("tool {}", check.name), check.needs, || is_right(check)));
    let table = alone("the_table_of_programs_is_true", table::NEEDS, table::is_true);
    let rows = trial("every_row_of_the_table_shows_something", &[], table::shows_something);
    each.chain([table, rows]).collect()
}

/// Runs a program with the files of the daemon: its number must be the container's
/// if it looks into files, and in any case what the page says.
fn is_right(check: &Check) -> Verdict {
    let tree = daemon::shared()?;
    let (ran, answers) = ask(&[check], |words| in_porthole(&tree, words))?;
    let [answer] = answers[..] else { unreachable!("as many answers as checks") };
    if matches!(check.source, Source::Files | Source::Refused(_)) {
        let found = format!("{:?} is {}", answer.number, check.counts.expected());
        ran.holds(&found, answer.is_right(check.counts))?;
    }
    table::says(check, answer).with_context(|| ran.to_string())
}

/// What a program said.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// Its number, if it ended with one.
    number: Option<u64>,
    /// How long the machine had been up before its container, and after, in seconds.
    before: u64,
    after: u64,
}

/// Runs `program` in a new container of `porthole`, with the files of `tree`.
fn in_porthole(tree: &Path, program: &[&str]) -> Result<Ran> {
    container::run(&[&["--view", &tree.to_string_lossy()], OPTIONS].concat(), program)
}

/// Runs the programs one after the other in the container that `run` makes.
fn ask(checks: &[&Check], run: impl Fn(&[&str]) -> Result<Ran>) -> Result<(Ran, Vec<Answer>)> {
    let scripts: Vec<String> = checks.iter().map(|check| script(check)).collect();
    let words = [&EACH[..], &scripts.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    loop {
        let before = needs::uptime();
        let ran = run(&words)?;
        let after = needs::uptime();
        let age = after - before + ROUNDED;
        let is_about_age = checks.iter().any(|check| check.counts == Counts::Uptime);
        if is_about_age && before <= age {
            // Who says the machine's age would be right by chance.
            std::thread::sleep(Duration::from_secs(age));
            continue;
        }
        let numbers = numbers(&ran.stdout);
        ensure!(numbers.len() == checks.len(), "not one answer each\n{ran}");
        let answers = numbers.into_iter().map(|number| Answer { number, before, after }).collect();
        return Ok((ran, answers));
    }
}

/// A command that runs a script after the other, with [`END`] after what each prints.
const EACH: [&str; 4] = [
    "sh",
    "-c",
    "for script; do timeout 120 sh -c \"$script\" </dev/null; printf '\\036'; done",
    "sh",
];

/// A character that no program prints.
const END: char = '\x1e';

/// What is typed into a shell.
fn script(check: &Check) -> String {
    format!("exec 2>&1; export LC_ALL=C; {}", check.command)
}

/// The number that each script printed, alone on its last line. An age of -1 is 0: the
/// clock that it was taken from ticks once a second.
fn numbers(text: &str) -> Vec<Option<u64>> {
    let said: Vec<&str> = text.split(END).collect();
    let complete = said.split_last().map_or(&[][..], |(_after, complete)| complete);
    complete.iter().map(|said| number(said)).collect()
}

fn number(text: &str) -> Option<u64> {
    let word = text.lines().next_back()?.trim();
    let whole = word.split_once('.').map_or(word, |(whole, _rest)| whole);
    let number: i64 = whole.parse().ok()?;
    u64::try_from(if number == -1 { 0 } else { number }).ok()
}

impl Answer {
    /// Whether a program in the container may say so.
    fn is_right(self, counts: Counts) -> bool {
        let Some(number) = self.number else { return false };
        match counts {
            Counts::Cpus => number == CPUS,
            Counts::Memory(unit) => number * unit == MEMORY,
            Counts::Swap(unit) => number * unit == SWAP,
            Counts::Uptime => number <= self.after - self.before + ROUNDED,
            // Who asks may count as one that runs.
            Counts::Load(running) => (running..=running + 1).contains(&number),
        }
    }

    /// Whether it is the host's number. A node's memory is a little more than
    /// `MemTotal`, and programs round.
    fn is_hosts(self, counts: Counts) -> bool {
        let Some(number) = self.number else { return false };
        let near = |number: u64, total: u64| number.abs_diff(total) < total / 10;
        match counts {
            Counts::Cpus => usize::try_from(number).is_ok_and(|cpus| cpus == needs::online_cpus()),
            Counts::Memory(unit) => near(number * unit, needs::host_meminfo("MemTotal")),
            Counts::Swap(unit) => near(number * unit, needs::swap_total()),
            Counts::Uptime => {
                (self.before..=self.after + ROUNDED).contains(&(number + ROUNDED / 2))
            }
            // Another at each moment: whatever is not the container's is another's.
            Counts::Load(_) => false,
        }
    }
}

impl Counts {
    /// What a program in the container must say, in words.
    fn expected(self) -> String {
        match self {
            Self::Cpus => self.said(CPUS),
            Self::Memory(unit) => self.said(MEMORY / unit),
            Self::Swap(unit) => self.said(SWAP / unit),
            Self::Uptime => "its age".to_owned(),
            Self::Load(running) => format!("a load of {running}"),
        }
    }

    /// The number in words that are the same for every unit.
    fn said(self, number: u64) -> String {
        match self {
            Self::Cpus => format!("{number} CPU"),
            Self::Memory(unit) => format!("{} MiB", (number * unit) >> 20),
            Self::Swap(unit) => format!("{} MiB of swap", (number * unit) >> 20),
            // Another at each run.
            Self::Uptime => "nobody's age".to_owned(),
            Self::Load(_) => "another load".to_owned(),
        }
    }
}
