//! docs/COMPATIBILITY.md: what every program says, with and without porthole.
//!
//! The table has no number of the machine that it was made on, so that it is the
//! same wherever it is made again: what is not the container's is "the host's".

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use support::lxcfs::Lxcfs;
use support::{Need, Verdict, daemon, needs};

use super::programs::{CHECKS, Check, Counts, Source};
use super::{ask, number};

/// With `UPDATE_EXPECT=1` the table is written and not compared.
pub(super) const NEEDS: &[Need] = &[
    Need::Full,
    Need::Workspace,
    Need::Container,
    Need::CgroupV1,
    Need::Program("lxcfs", "lxcfs"),
];

const HEAD: &str = "\
# Compatibility

What programs of Debian say in a container of 512 MiB and one CPU, started by `porthole run` on a larger machine (cgroup v1): with the
machine's own files (`--no-view`), with those of lxcfs (Debian's package, with `-l --enable-cfs --enable-pidfd`), and with those of `portholefs`. The
runtime is the same, so only the files differ. \"the host's\" is the number of the whole machine.

A row that names a system call is about a program that looks into no file: files cannot help it.

This table is made by a test (`tests/e2e/tools`): `UPDATE_EXPECT=1 cargo xtask test --full the_table` writes it, `cargo xtask test
--full` fails when it is no longer true. That the column of porthole is right where a program looks into files is tested at every commit,
on cgroup v1 and on v2.

| program | looks into | should say | own files | lxcfs | porthole |
|---|---|---|---|---|---|
";

/// Runs every program each way and compares with the document.
pub(super) fn is_true() -> Verdict {
    let ours = daemon::shared()?;
    let lxcfs = Lxcfs::start()?;
    let lxcfs = lxcfs.mount_point();
    let mut text = HEAD.to_owned();
    let mut right = [0; 3];
    for check in CHECKS {
        let views = [vec!["--no-view"], view(&lxcfs)?, view(&ours)?];
        let source = match check.source {
            Source::Files => "files",
            Source::Call(name) => name,
        };
        let expected = check.counts.expected();
        write!(text, "| {} | {source} | {} |", check.name, check.counts.said(expected))?;
        for (right, view) in right.iter_mut().zip(views) {
            let answer = answer(check, &view)?;
            *right += usize::from(answer == Some(expected));
            write!(text, " {} |", judged(check, answer))?;
        }
        text.push('\n');
    }
    let [own, lxcfs, ours] = right;
    writeln!(
        text,
        "\nRight of {}: own files {own}, lxcfs {lxcfs}, porthole {ours}.",
        CHECKS.len()
    )?;
    compare(&text)
}

fn view(tree: &Path) -> Result<Vec<&str>> {
    Ok(vec!["--view", tree.to_str().context("a temporary folder has a plain name")?])
}

/// The number that a program says; `None` when it says none.
fn answer(check: &Check, view: &[&str]) -> Result<Option<u64>> {
    Ok(number(&ask(check, view)?.stdout))
}

/// A cell: the answer and whether it is right.
fn judged(check: &Check, answer: Option<u64>) -> String {
    match answer {
        None => "nothing ✗".to_owned(),
        Some(number) if number == check.counts.expected() => {
            format!("{} ✓", check.counts.said(number))
        }
        Some(number) if check.counts.is_hosts(number) => "the host's ✗".to_owned(),
        Some(number) => format!("{} ✗", check.counts.said(number)),
    }
}

impl Counts {
    /// The number in words that are the same for every unit.
    fn said(self, number: u64) -> String {
        match self {
            Self::Cpus => format!("{number} CPU"),
            Self::Memory(unit) => format!("{} MiB", (number * unit) >> 20),
        }
    }

    /// Whether it is the host's. A node's memory is a little more than `MemTotal`, and
    /// programs round.
    fn is_hosts(self, number: u64) -> bool {
        match self {
            Self::Cpus => usize::try_from(number).is_ok_and(|cpus| cpus == needs::online_cpus()),
            Self::Memory(unit) => {
                let (total, number) = (needs::host_meminfo("MemTotal"), number * unit);
                number.abs_diff(total) < total / 10
            }
        }
    }
}

fn compare(text: &str) -> Verdict {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "docs", "COMPATIBILITY.md"].iter().collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(std::fs::write(&path, text)?);
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let wrong = text.lines().find(|line| !found.lines().any(|other| other == *line));
    ensure!(found == text, "the table is no longer true (UPDATE_EXPECT=1), for example: {wrong:?}");
    Ok(())
}
