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

use crate::command::quoted;
use crate::place::Place;
use crate::{build, setup};

/// What to boot and what to run in it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Which of Debian's kernels: 6.1 is bookworm's, 6.12 trixie's, 7 the newest
    #[arg(long, default_value = "6.1")]
    pub kernel: Version,
    /// What to run in it; by default the tests that need a machine
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Boots, runs the command, and fails unless it succeeded.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    setup::install(setup::For::Vm)?;
    let programs = build::everything(place)?;
    let command = if options.command.is_empty() {
        tests_in_order(&programs.tests, None)
    } else {
        options.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    };
    let job = image::Job { environment: passed_on(), command };
    match boot_qemu(place, options.kernel, &programs, &job)?.verdict {
        Verdict::Success => Ok(()),
        Verdict::Failure => bail!("the command failed in the VM"),
        Verdict::None => bail!("the VM ended without a verdict: no line `init: ...` was printed"),
    }
}

/// Runs the test programs on one kernel; returns what they printed and whether
/// they succeeded.
pub fn test(
    place: &Place,
    kernel: Version,
    programs: &build::Programs,
    environment: &[(String, String)],
    filter: Option<&str>,
) -> Result<(String, bool)> {
    let job = image::Job {
        environment: environment.to_vec(),
        command: tests_in_order(&programs.tests, filter),
    };
    let console = boot_qemu(place, kernel, programs, &job)?;
    Ok((console.text, console.verdict == Verdict::Success))
}

fn boot_qemu(
    place: &Place,
    kernel: Version,
    programs: &build::Programs,
    job: &image::Job,
) -> Result<Console> {
    let kernel = kernel::fetch(place, kernel)?;
    boot::qemu(&kernel, &image::Run::new(place, programs, job)?)
}

/// Settings of the tests that whoever calls us has made.
fn passed_on() -> Vec<(String, String)> {
    let names = ["PORTHOLE_TESTS_SKIP", "PORTHOLE_TESTS_FULL", "RUST_BACKTRACE", "RUST_LOG"];
    names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// A shell command that runs every test program and fails if one of them failed.
fn tests_in_order(programs: &[PathBuf], filter: Option<&str>) -> String {
    let filter = filter.map(quoted).unwrap_or_default();
    let mut command = String::from("status=0");
    for program in programs.iter().filter_map(|program| program.file_name()) {
        command += &format!(
            "; {}/{} --color=never {filter} || status=1",
            image::TESTS,
            program.to_string_lossy()
        );
    }
    command + "; exit $status"
}
