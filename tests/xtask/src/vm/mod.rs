//! `cargo xtask vm`: a machine with nothing but cgroup v2, four CPUs and swap.
//!
//! Debian's own kernel under qemu without KVM (`-accel tcg`), so it runs
//! wherever qemu runs, in a few seconds. Its root file system is made from this
//! machine's packages: the programs that the tests drive, with everything they
//! depend on, and our own binaries. A program there sees what a Debian host
//! with `/sys/fs/cgroup` as one cgroup2 tree would show it.
//!
//! What it is not: fast. User code runs five to twenty times slower than here;
//! timings taken inside mean nothing.

mod boot;
mod image;
mod kernel;
mod modules;
mod packages;

use std::path::PathBuf;

use anyhow::{Result, bail};

use boot::{Console, Verdict};
pub use kernel::Version;
use packages::Extent;

use crate::command::quoted;
use crate::place::Place;
use crate::{build, setup};

/// What to boot and what to run in it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Which of Debian's kernels: 6.1 is bookworm's, 6.12 trixie's, 7 the newest
    #[arg(long, default_value = "6.1")]
    pub kernel: Version,
    /// With all programs whose numbers are compared; the disk is three times as large
    #[arg(long)]
    pub whole: bool,
    /// What to run in it; by default the tests that need a machine
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Boots, runs the command, and fails unless it succeeded.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    setup::install(setup::For::Vm)?;
    let programs = build::everything(place)?;
    let command = if options.command.is_empty() {
        tests_in_order(&programs.tests, |_program| vec![""])
    } else {
        options.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    };
    let job = image::Job { environment: passed_on(), command };
    let extent = if options.whole { Extent::Whole } else { Extent::Small };
    match boot_qemu(place, options.kernel, extent, &programs, &job)?.verdict {
        Verdict::Success => Ok(()),
        Verdict::Failure => bail!("the command failed in the VM"),
        Verdict::None => bail!("the VM ended without a verdict: no line `init: ...` was printed"),
    }
}

/// What the quick tier runs of a program here: all of most, but the guarantees hold
/// on every machine or on none, but for what depends on the kernel, and take minutes.
const QUICK: &[(&str, &[&str])] = &[("guarantees-", &["kills_", "twice_killed"])];

/// What is run of the test programs.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Only tests with this in their name.
    pub filter: Option<&'a str>,
    /// Also what takes long.
    pub full: bool,
}

impl<'a> Selection<'a> {
    /// The programs are Debian 12's, and all are run on the kernel of Debian 12 alone.
    fn extent(self, kernel: Version) -> Extent {
        match kernel {
            Version::V6_1 if self.full => Extent::Whole,
            _ => Extent::Small,
        }
    }

    /// What is run of `program`: tests with each of these in their names.
    fn filters(self, program: &str) -> Vec<&'a str> {
        let quick = QUICK.iter().find(|(name, _)| program.starts_with(name));
        match (self.filter, quick) {
            (Some(filter), _) => vec![filter],
            (None, Some((_name, filters))) if !self.full => filters.to_vec(),
            (None, _all) => vec![""],
        }
    }
}

/// Runs the test programs on one kernel; returns what they printed and whether
/// they succeeded.
pub fn test(
    place: &Place,
    kernel: Version,
    programs: &build::Programs,
    environment: &[(String, String)],
    selection: Selection<'_>,
) -> Result<(String, bool)> {
    let job = image::Job {
        environment: environment.to_vec(),
        command: tests_in_order(&programs.tests, |program| selection.filters(program)),
    };
    let console = boot_qemu(place, kernel, selection.extent(kernel), programs, &job)?;
    Ok((console.text, console.verdict == Verdict::Success))
}

fn boot_qemu(
    place: &Place,
    kernel: Version,
    extent: Extent,
    programs: &build::Programs,
    job: &image::Job,
) -> Result<Console> {
    let kernel = kernel::fetch(place, kernel)?;
    let run = image::Run::new(place, extent, programs, job)?;
    let console = boot::qemu(&kernel, &run)?;
    if job.environment.iter().any(|(name, _value)| name == UPDATE) {
        run.take_documents(place)?;
    }
    Ok(console)
}

/// Set where a test writes what it would compare with.
pub const UPDATE: &str = "UPDATE_EXPECT";

/// Settings of the tests that whoever calls us has made.
fn passed_on() -> Vec<(String, String)> {
    let names =
        ["PORTHOLE_TESTS_SKIP", "PORTHOLE_TESTS_FULL", UPDATE, "RUST_BACKTRACE", "RUST_LOG"];
    names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// A shell command that runs every test program, once for each of its filters, and
/// fails if one of them failed. An empty filter is all tests.
fn tests_in_order<'a>(programs: &[PathBuf], filters: impl Fn(&str) -> Vec<&'a str>) -> String {
    let mut command = String::from("status=0");
    for program in programs.iter().filter_map(|program| program.file_name()) {
        let program = program.to_string_lossy();
        for filter in filters(&program) {
            let filter = if filter.is_empty() { String::new() } else { quoted(filter) };
            command += &format!("; {}/{program} --color=never {filter} || status=1", image::TESTS);
        }
    }
    command + "; exit $status"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: Option<&str>, full: bool, expected: &[&str]) {
        let selection = Selection { filter, full };
        assert_eq!(selection.filters("guarantees-1f"), expected);
    }

    #[test]
    fn the_quick_tier_leaves_most_guarantees_to_this_machine() {
        check(None, false, &["kills_", "twice_killed"]);
        check(None, true, &[""]);
        check(Some("upgrade"), false, &["upgrade"]);
        assert_eq!(Selection { filter: None, full: false }.filters("e2e-1f"), [""]);
    }

    #[test]
    fn all_programs_are_run_on_their_own_kernel_by_the_long_tier() {
        let extent = |full, kernel| Selection { filter: None, full }.extent(kernel);
        assert_eq!(extent(true, Version::V6_1), Extent::Whole);
        assert_eq!(extent(true, Version::V7), Extent::Small);
        assert_eq!(extent(false, Version::V6_1), Extent::Small);
    }
}
