//! `cargo xtask bench`: what a read costs, measured, into docs/PERFORMANCE.md.
//!
//! The figures are taken by the program in `tests/bench`, in one run and in turns. What
//! is made of them here is pure: a [`page`] of tables, [`plot`]s, and with `--against` a
//! [`comparison`] of two revisions.

mod comparison;
mod containers;
mod figures;
mod page;
mod plot;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::place::{Place, cargo};
use crate::{command, setup};
use figures::Figures;

/// What is written, below the workspace.
const PAGE: &str = "docs/PERFORMANCE.md";

/// Where the page's pictures are.
const PICTURES: &str = "docs/performance";

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Compare with this revision, in turns; fails where this one is slower
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Measure little and write nothing: whether everything can be measured
    #[arg(long)]
    quick: bool,
    /// Measure nothing, but take the figures of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with = "quick")]
    from: Option<PathBuf>,
}

/// Measures; writes the page, or prints the comparison.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    let file = match &options.from {
        Some(file) => file.clone(),
        None => measured(place, options)?,
    };
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let figures: Figures =
        serde_json::from_slice(&text).with_context(|| format!("in {}", file.display()))?;
    match &options.against {
        Some(revision) => compare(&figures, revision),
        None if options.quick => {
            println!("{}", page::page(&figures, ""));
            Ok(())
        }
        None => write(place, &figures),
    }
}

/// Takes figures; returns the file that they are in.
fn measured(place: &Place, options: &Options) -> Result<PathBuf> {
    setup::install(setup::For::Full)?;
    build::binaries(place)?;
    let mut bench = Command::new(build::bench(place)?);
    bench.env("PORTHOLE_BIN_DIR", place.release());
    if options.quick {
        bench.env("PORTHOLE_BENCH_QUICK", "1");
    }
    if let Some(revision) = &options.against {
        bench.env("PORTHOLE_BENCH_AGAINST", built_at(place, revision)?);
    }
    let file = place.made("bench")?.join("figures.json");
    command::run(bench.arg("--figures").arg(&file))?;
    Ok(file)
}

fn compare(figures: &Figures, revision: &str) -> Result<()> {
    let comparison = comparison::Comparison::of(figures);
    println!("{comparison}");
    if comparison.is_slower() {
        bail!("slower than {revision}");
    }
    Ok(())
}

fn write(place: &Place, figures: &Figures) -> Result<()> {
    let page = place.workspace.join(PAGE);
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, page::page(figures, &before))?;
    let folder = place.workspace.join(PICTURES);
    std::fs::create_dir_all(&folder)?;
    for (name, picture) in page::pictures(figures) {
        std::fs::write(folder.join(name), picture)?;
    }
    println!("written: {PAGE} and {PICTURES}/");
    Ok(())
}

/// `portholefs` of another revision, from sources of its own.
fn built_at(place: &Place, revision: &str) -> Result<PathBuf> {
    let name = format!("{revision}^{{commit}}");
    let mut ask = Command::new("git");
    let commit = command::output(ask.args(["rev-parse", &name]).current_dir(&place.workspace))?;
    let commit = commit.trim();
    let program = place.made("bench")?.join(format!("portholefs-{commit}"));
    if program.exists() {
        return Ok(program);
    }
    let sources = place.made("bench/sources")?;
    unpack(&place.workspace, commit, &sources)?;
    let target = place.made("bench/target")?;
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "-p", "procfs-fuse", "--target-dir"]);
    command::run(build.arg(&target).current_dir(&sources))?;
    std::fs::copy(target.join("release/portholefs"), &program)?;
    Ok(program)
}

fn unpack(workspace: &Path, commit: &str, sources: &Path) -> Result<()> {
    const SCRIPT: &str = "rm -rf \"$2\"/* && git archive \"$1\" | tar -x -C \"$2\"";
    let mut shell = Command::new("sh");
    shell.args(["-ec", SCRIPT, "sh", commit]).arg(sources);
    command::run(shell.current_dir(workspace))
}
