//! What every program says, with and without porthole, held against the page.
//!
//! The page has no number of the machine that it was made on, so that it is the
//! same wherever it is made again: what is not the container's is "the host's".

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, ensure};
use support::lxcfs::Lxcfs;
use support::{Need, Ran, Verdict, daemon, needs};

use super::page::{Cells, PORTHOLE, Page, RIGHT, Version, WAYS, path};
use super::programs::{CHECKS, Check, Counts};
use super::{Answer, OPTIONS, ask, in_porthole};
use crate::docker::Docker;

/// With `UPDATE_EXPECT=1` the table is written and not compared.
pub(super) const NEEDS: &[Need] = &[
    Need::Full,
    Need::Container,
    Need::LargeProgram("lxcfs", "lxcfs"),
    Need::LargeProgram("dockerd", "docker.io"),
];

/// How the page is made again.
const WRITE: &str = "UPDATE_EXPECT=1 cargo xtask test --full the_table";

/// How many programs share a container where docker takes seconds to start one. On
/// other machines each has its own: what a file says when it is first read is part of
/// what is compared.
const BATCH: usize = 12;

/// Fails unless the page says of `check`, under porthole, what it has now said.
pub(super) fn says(check: &Check, answer: Answer) -> Verdict {
    let version = Version::here();
    if !version.has(check) {
        return Ok(());
    }
    let page = Page::read()?;
    let cell = page
        .cell(check, PORTHOLE, version)
        .with_context(|| format!("no row of docs/COMPATIBILITY.md is {} ({WRITE})", check.name))?;
    let now = judged(check, answer);
    ensure!(cell == now, "the page says {cell:?}, {} says {now:?} ({WRITE})", check.name);
    Ok(())
}

/// A program that is right whatever it is shown would show nothing.
pub(super) fn shows_something() -> Verdict {
    let page = Page::read()?;
    for check in CHECKS {
        let columns = (0..WAYS).flat_map(|way| [(way, Version::V1), (way, Version::V2)]);
        let mut cells = columns.map(|(way, version)| page.cell(check, way, version));
        ensure!(!cells.all(|cell| cell == Some(RIGHT)), "{} is right in all columns", check.name);
    }
    Ok(())
}

/// Runs every program each way and compares with the page, or writes it.
pub(super) fn is_true() -> Verdict {
    let version = Version::here();
    let checks: Vec<&Check> = CHECKS.iter().filter(|check| version.has(check)).collect();
    for check in &checks {
        for need in check.needs {
            need.check().map_err(|reason| anyhow!("{}: {reason}", check.name))?;
        }
    }
    let answers = Ways::new()?.answers(&checks)?;
    let cells = checks.iter().map(|check| Ok((check.name, cells(check, &answers)?)));
    let cells = cells.collect::<Result<_>>()?;
    let page = Page::read()?;
    let text = page.with(version, &cells)?;
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(std::fs::write(path(), text)?);
    }
    ensure!(page.is(&text), "the table is no longer true ({WRITE}): {:#?}", page.lacks(&text));
    Ok(())
}

/// What each program said, by its name.
type Answers = BTreeMap<&'static str, Answer>;

/// The cells of a program.
fn cells(check: &Check, answers: &[Answers; WAYS]) -> Result<Cells> {
    let mut cells = Cells::default();
    for (cell, answers) in cells.iter_mut().zip(answers) {
        let answer = answers.get(check.name).context("a program that was not asked")?;
        *cell = judged(check, *answer);
    }
    Ok(cells)
}

/// A cell: the answer and whether it is right.
fn judged(check: &Check, answer: Answer) -> String {
    match answer.number {
        _ if answer.is_right(check.counts) => RIGHT.to_owned(),
        None => "nothing".to_owned(),
        Some(_) if answer.is_hosts(check.counts) => "the host's".to_owned(),
        Some(number) => check.counts.said(number),
    }
}

/// The ways in which a program is run: the last columns of the table.
struct Ways {
    lxcfs: Lxcfs,
    docker: Docker,
}

impl Ways {
    fn new() -> Result<Self> {
        // lxcfs looks for swap in the groups that there are when it starts, and on a
        // machine with docker there are some.
        let docker = Docker::start()?;
        Ok(Self { lxcfs: Lxcfs::start()?, docker })
    }

    /// What each program says each way, all ways at once.
    fn answers(&self, checks: &[&Check]) -> Result<[Answers; WAYS]> {
        let (lxcfs, ours) = (self.lxcfs.mount_point(), daemon::shared()?);
        let options = [OPTIONS, &["--rm"]].concat();
        let bare = |words: &[&str]| self.docker.run_bare(&options, words);
        let with_lxcfs = |words: &[&str]| self.docker.run(&options, &lxcfs, words);
        let with_ours = |words: &[&str]| self.docker.run(&options, &ours, words);
        let in_porthole = |words: &[&str]| in_porthole(&ours, words);
        std::thread::scope(|scope| {
            let ways = [
                scope.spawn(|| in_batches(checks, bare)),
                scope.spawn(|| in_batches(checks, with_lxcfs)),
                scope.spawn(|| in_batches(checks, with_ours)),
                scope.spawn(|| in_batches(checks, in_porthole)),
            ];
            let [bare, lxcfs, ours, porthole] =
                ways.map(|way| way.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            Ok([bare?, lxcfs?, ours?, porthole?])
        })
    }
}

/// The programs that tell an age share a container of their own; each that tells a load
/// has one, as it counts what else runs there.
fn in_batches(checks: &[&Check], run: impl Fn(&[&str]) -> Result<Ran>) -> Result<Answers> {
    let mut answers = Answers::new();
    let size = if needs::is_imitated() { BATCH } else { 1 };
    let (loads, others): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| matches!(check.counts, Counts::Load(_)));
    let (ages, others): (Vec<&Check>, Vec<&Check>) =
        others.iter().partition(|check| check.counts == Counts::Uptime);
    // The ages come last: the machine must be older than a container.
    for batch in others.chunks(size).chain(loads.chunks(1)).chain(ages.chunks(size)) {
        let (_ran, said) = ask(batch, &run)?;
        answers.extend(batch.iter().map(|check| check.name).zip(said));
    }
    Ok(answers)
}
