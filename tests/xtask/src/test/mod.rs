//! `cargo xtask test`: every test that there is, here and in the VM.
//!
//! The programs of `porthole-tests` run twice: on this machine, whatever its
//! cgroups are, and in the VM on pure cgroup v2. A test that needs a machine of
//! the other kind is skipped on one and runs on the other; one that ran on
//! neither is named at the end with the reason, and in CI
//! (`PORTHOLE_TESTS_SKIP=never`) it counts as failed.

mod report;
mod results;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

pub use report::Report;
use results::Results;

use crate::place::{Place, cargo};
use crate::{build, command, setup, tidy, tools, vm};

/// What to test.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Also run what takes long: kill runs, benchmarks, other kernels
    #[arg(long)]
    pub full: bool,
    /// Leave the VM out; its tests are then named as not run
    #[arg(long)]
    pub no_vm: bool,
    /// Only tests with this in their name
    pub filter: Option<String>,
}

/// The words that begin the reason of a test that only the long tier runs.
const LONG_TIER: &str = "only in the long tier";

/// Runs the tests, prints the table, and fails when a test failed.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    let mut report = Report::default();
    all(place, options, &mut report);
    conclude(&report)
}

/// Prints the table and the closing line; fails when something failed.
pub fn conclude(report: &Report) -> Result<()> {
    println!("{report}");
    if !report.is_success() {
        bail!("not everything passed");
    }
    Ok(())
}

/// Runs the tests into `report`. What cannot even begin is a failed row: the
/// table is printed in every case.
pub fn all(place: &Place, options: &Options, report: &mut Report) {
    let wanted = if options.full { setup::For::Full } else { setup::For::Test };
    if !check(report, "setup", || setup::install(wanted)) {
        return;
    }
    tools::install(place);
    if options.filter.is_none() {
        check(report, "tidy", || tidy::run(place));
    }
    programs(report, "unit tests", options, |filter| unit_tests(place, filter));
    let mut built = None;
    check(report, "build", || {
        built = Some(build::everything(place)?);
        Ok(())
    });
    if let Some(built) = built {
        on_machines(place, options, &built, report);
    }
}

/// Runs the programs that need a machine on each kind of machine.
fn on_machines(place: &Place, options: &Options, built: &build::Programs, report: &mut Report) {
    let mut machines =
        vec![programs(report, "this machine", options, |filter| here(built, filter, options))];
    let mut kernels = vec![vm::Version::V6_1];
    if options.full {
        kernels.extend([vm::Version::V6_12, vm::Version::V7]);
    }
    for kernel in kernels.into_iter().filter(|_kernel| !options.no_vm) {
        let name = format!("VM, cgroup v2, Linux {kernel}");
        let run = |filter: Option<&str>| {
            let selection = vm::Selection { filter, full: options.full };
            vm::test(place, kernel, built, &environment(options), selection)
        };
        machines.push(programs(report, &name, options, run));
    }
    judge_skipped(report, &machines);
}

/// Names the tests that ran nowhere; in CI they count as failed.
fn judge_skipped(report: &mut Report, machines: &[Results]) {
    let skipped = skipped_everywhere(machines);
    let never = std::env::var_os("PORTHOLE_TESTS_SKIP").is_some_and(|value| value == "never");
    let start = Instant::now();
    for (name, reason) in &skipped {
        if never && !reason.starts_with(LONG_TIER) {
            report.add_check(&format!("{name} ran nowhere"), false, start.elapsed());
        }
    }
    report.did_not_run = skipped;
}

/// The tests that were skipped on each machine that has them.
fn skipped_everywhere(machines: &[Results]) -> Vec<(String, String)> {
    let ran = |name: &String| {
        machines
            .iter()
            .any(|results| results.passed.contains(name) || results.failed.contains(name))
    };
    let mut skipped: Vec<(String, String)> = machines
        .iter()
        .flat_map(|results| &results.ignored)
        .filter(|(name, _reason)| !ran(name))
        .map(|(name, reason)| (name.clone(), reason.clone()))
        .collect();
    skipped.sort();
    skipped.dedup_by(|a, b| a.0 == b.0);
    skipped
}

/// Runs one check into the report; its error is printed.
pub fn check(report: &mut Report, name: &str, check: impl FnOnce() -> Result<()>) -> bool {
    println!("== {name}");
    let start = Instant::now();
    let done = check();
    if let Err(error) = &done {
        println!("{name}: {error:#}");
    }
    report.add_check(name, done.is_ok(), start.elapsed());
    done.is_ok()
}

/// Runs test programs into the report: `run` gives their output, and whether
/// they succeeded.
fn programs(
    report: &mut Report,
    name: &str,
    options: &Options,
    run: impl FnOnce(Option<&str>) -> Result<(String, bool)>,
) -> Results {
    println!("== {name}");
    let start = Instant::now();
    let (text, succeeded) = run(options.filter.as_deref()).unwrap_or_else(|error| {
        println!("{name}: {error:#}");
        (String::new(), false)
    });
    let results = Results::parse(&text);
    report.add_results(name, &results, succeeded, start.elapsed());
    results
}

/// The tests beside the code: no root, no FUSE, no cgroups.
fn unit_tests(place: &Place, filter: Option<&str>) -> Result<(String, bool)> {
    let mut test = cargo();
    test.args(["test", "--locked", "--workspace", "--exclude", "porthole-tests", "--no-fail-fast"]);
    test.args(filter).current_dir(&place.workspace);
    shown(&mut test)
}

/// The programs that need a machine, on this one.
fn here(
    built: &build::Programs,
    filter: Option<&str>,
    options: &Options,
) -> Result<(String, bool)> {
    let binaries = built.binaries.first().and_then(|binary| binary.parent()).map(PathBuf::from);
    let (mut text, mut succeeded) = (String::new(), true);
    for program in &built.tests {
        let mut command = Command::new(program);
        command
            .arg("--color=never")
            .args(filter)
            .envs(environment(options))
            .envs(binaries.iter().map(|folder| ("PORTHOLE_BIN_DIR", folder)));
        let (said, ended_well) = shown(&mut command)?;
        text += &said;
        succeeded &= ended_well;
    }
    Ok((text, succeeded))
}

/// What test programs are told. Whether a test may be skipped because another
/// kind of machine runs it is judged here, when all machines have run.
fn environment(options: &Options) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    if std::env::var_os("PORTHOLE_TESTS_SKIP").is_some_and(|value| value == "never") {
        environment.push(("PORTHOLE_TESTS_SKIP".into(), "elsewhere".into()));
    }
    if options.full {
        environment.push(("PORTHOLE_TESTS_FULL".into(), "1".into()));
    }
    if std::env::var_os(vm::UPDATE).is_some() {
        environment.push((vm::UPDATE.into(), "1".into()));
    }
    environment
}

/// Runs `command`, showing its output as it comes; returns it, and whether the
/// exit status was 0.
fn shown(command: &mut Command) -> Result<(String, bool)> {
    let line = command::line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    let stdout = child.stdout.take().context("a child without a pipe")?;
    let mut text = String::new();
    let mut bytes = Vec::new();
    let mut reader = BufReader::new(stdout);
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let piece = String::from_utf8_lossy(&bytes);
        print!("{piece}");
        text += &piece;
        bytes.clear();
    }
    let succeeded = child.wait()?.success();
    if !succeeded {
        println!("`{line}` failed");
    }
    Ok((text, succeeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_on_no_machine_is_named() {
        let here =
            Results::parse("test v2_only ... ignored (not v2)\ntest swap ... ignored (no swap)\n");
        let there = Results::parse("test v2_only ... ok\ntest swap ... ignored (no swap either)\n");
        assert_eq!(skipped_everywhere(&[here, there]), [("swap".to_owned(), "no swap".to_owned())]);
    }

    #[test]
    fn output_is_kept_with_the_verdict() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo test a ... ok; exit 1"]);
        assert_eq!(shown(&mut command).unwrap(), ("test a ... ok\n".to_owned(), false));
    }
}
