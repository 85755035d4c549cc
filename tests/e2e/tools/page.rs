//! docs/COMPATIBILITY.md: a program a row, and a column for each way on each version
//! of cgroups.
//!
//! A machine has one version, so it knows half of the columns: the other half is kept
//! as it is in the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use support::{Need, needs};

use super::programs::{CHECKS, Check, Source};

/// How many ways there are to run a program.
pub(super) const WAYS: usize = 4;

/// The way by which every commit runs the programs: `porthole run`.
pub(super) const PORTHOLE: usize = 3;

/// A cell of a program that said the container's number.
pub(super) const RIGHT: &str = "✓";

/// A cell of a program that was not asked.
const NOT_ASKED: &str = "–";

/// Columns before those of the ways.
const FIRST: usize = 3;

/// What a row says of a program, by way, on one version of cgroups.
pub(super) type Cells = [String; WAYS];

/// A version of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

impl Version {
    /// That of this machine, where control groups are limited.
    pub(super) fn here() -> Self {
        if needs::is_pure_v2() { Self::V2 } else { Self::V1 }
    }

    /// Whether the page says of `check` what it says on this version. Where the machine
    /// has no swap, the container's swap is the machine's: the page is about v1
    /// machines without, as build machines are, and about v2 machines with some.
    pub(super) fn has(self, check: &Check) -> bool {
        self == Self::V2 || !check.needs.contains(&Need::Swap)
    }
}

/// The rows of the page: cells by the name of a program.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    rows: BTreeMap<String, Vec<String>>,
}

impl Page {
    /// Reads it.
    pub(super) fn read() -> Result<Self> {
        let path = path();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { rows: text.lines().filter_map(row).collect(), text })
    }

    /// Whether it says this already.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// The lines of `text` that it has not.
    pub(super) fn lacks<'a>(&self, text: &'a str) -> Vec<&'a str> {
        text.lines().filter(|line| !self.text.lines().any(|other| other == *line)).collect()
    }

    /// What it says of `check` that is run by `way`; nothing for one that it has no row of.
    pub(super) fn cell(&self, check: &Check, way: usize, version: Version) -> Option<&str> {
        self.rows.get(check.name)?.get(column(way, version)).map(String::as_str)
    }

    /// The page with what `cells` has of each check on `version`, and what this one
    /// has on the other.
    pub(super) fn with(&self, version: Version, cells: &BTreeMap<&str, Cells>) -> Result<String> {
        let mut text = head();
        let mut counts = [(0, 0); WAYS * 2];
        for check in CHECKS {
            let source = match check.source {
                Source::Files => "files".to_owned(),
                Source::Refused(file) => format!("{file}, refused by runc"),
                Source::Hosts(file) => format!("{file}, the host's on purpose"),
                Source::Call(name) => name.to_owned(),
            };
            write!(text, "| {} | {source} | {} |", check.name, check.counts.expected())?;
            let new = cells.get(check.name);
            for (column, (right, asked)) in counts.iter_mut().enumerate() {
                let (way, other) = of_column(column);
                let cell = match new {
                    _ if !other.has(check) => None,
                    Some(cells) if other == version => cells.get(way).map(String::as_str),
                    _ => self.cell(check, way, other),
                };
                let cell = cell.unwrap_or(NOT_ASKED);
                *right += usize::from(cell == RIGHT);
                *asked += usize::from(cell != NOT_ASKED);
                write!(text, " {cell} |")?;
            }
            text.push('\n');
        }
        write!(text, "| **right** | | |")?;
        for (right, asked) in counts {
            write!(text, " **{right}** of {asked} |")?;
        }
        text.push('\n');
        Ok(text)
    }
}

/// Where the page is: in the clone, or where the VM has it.
pub(super) fn path() -> PathBuf {
    let folder = std::env::var_os("PORTHOLE_TESTS_DOCS").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "..", "docs"].iter().collect());
    folder.join("COMPATIBILITY.md")
}

/// The name and all cells of a line of the table.
fn row(line: &str) -> Option<(String, Vec<String>)> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<String> = cells.split(" | ").map(str::to_owned).collect();
    Some((cells.first()?.clone(), cells))
}

/// Where the cell of a way is in a row.
fn column(way: usize, version: Version) -> usize {
    FIRST + 2 * way + usize::from(version == Version::V2)
}

/// The way and the version of a column after the first.
fn of_column(column: usize) -> (usize, Version) {
    (column / 2, if column.is_multiple_of(2) { Version::V1 } else { Version::V2 })
}

/// What is before the first row.
fn head() -> String {
    let (programs, packages) = counted();
    format!(
        "\
# Compatibility

What programs of Debian say in a container of 512 MiB and one CPU on a larger machine: {checks} checks by {programs} programs of
{packages} packages, each on a machine with cgroup v1 and on one with cgroup v2, four CPUs and swap. {RIGHT} is the container's number,
exactly; \"the host's\" is the number of the whole machine; \"nothing\", that the program ended without one; {NOT_ASKED}, that it was not
asked: where the machine has no swap, a container has none.

* **bare**: Debian's docker, with the machine's own files.
* **lxcfs**: the same with the files of Debian's lxcfs (`-l --enable-cfs --enable-pidfd`) mounted.
* **portholefs**: the same with the files of `portholefs`, by `deploy/docker/run.sh`. What runc refuses to mount on stays the host's. So
  does the age of a container, [on purpose](decisions/uptime-without-time-namespace.md): docker makes no time namespace.
* **porthole run**: the files of `portholefs` in a container of our own, which has a time namespace.

A row that names a system call is about a program that looks into no file, so that no file can help it: `porthole run` has the
call answered, others leave it to the kernel. A load is that of 24 processes which have run since the container's beginning. `/sys/devices/system/cpu/possible` is the host's in every container, since it bounds
[the numbers of CPUs](SEMANTICS.md), and not how many there are.

This table is made by a test (`tests/e2e/tools`): `UPDATE_EXPECT=1 cargo xtask test --full the_table` writes it, `cargo xtask test
--full` fails when it is no longer true. The columns of `porthole run` are tested at every commit: on v1 all but Java,
Erlang and Guile, on v2 what people ask first.

| program | looks into | should say | bare, v1 | bare, v2 | lxcfs, v1 | lxcfs, v2 | portholefs, v1 | portholefs, v2 | porthole run, v1 | porthole run, v2 |
|---|---|---|---|---|---|---|---|---|---|---|
",
        checks = CHECKS.len()
    )
}

/// How many programs the checks run, and of how many packages.
fn counted() -> (usize, usize) {
    let of_check = |check: &Check| {
        check.needs.iter().find_map(|need| match *need {
            Need::Program(name, package) | Need::LargeProgram(name, package) => {
                Some((name, package))
            }
            // A module of Perl or Python, which is no program of its own.
            Need::File(_, package) | Need::LargeFile(_, package) => Some((package, package)),
            _ => None,
        })
    };
    let (programs, packages): (BTreeSet<_>, BTreeSet<_>) =
        CHECKS.iter().filter_map(of_check).unzip();
    (programs.len(), packages.len())
}
