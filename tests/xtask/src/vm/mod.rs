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

pub use kernel::Version;

use crate::command::quoted;
use crate::place::Place;
use crate::{build, setup};

/// What to boot and what to run in it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Which of Debian's kernels: 6.1 is bookworm's, 6.12 trixie's
    #[arg(long, default_value = "6.1")]
    pub kernel: Version,
    /// Boot user-mode Linux instead: native speed, one CPU, no cpuset
    #[arg(long)]
    pub uml: bool,
    /// What to run in it; by default the tests that need a machine
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Boots, runs the command, and fails unless it succeeded.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    setup::install(setup::For::Vm)?;
    let programs = build::everything(place)?;
    let command = if options.command.is_empty() {
        tests_in_order(&programs.tests)
    } else {
        options.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    };
    match boot(place, options, &programs, &command)? {
        boot::Verdict::Success => Ok(()),
        boot::Verdict::Failure => bail!("the command failed in the VM"),
        boot::Verdict::None => {
            bail!("the VM ended without a verdict: no line `init: ...` was printed")
        }
    }
}

fn boot(
    place: &Place,
    options: &Options,
    programs: &build::Programs,
    command: &str,
) -> Result<boot::Verdict> {
    let root = image::root_folder(place)?;
    let run = image::Run::new(place, &root, programs, command)?;
    if options.uml {
        return boot::user_mode(place, &run);
    }
    let kernel = kernel::fetch(place, options.kernel)?;
    boot::qemu(&kernel, &run)
}

/// A shell command that runs every test program and fails if one of them failed.
fn tests_in_order(programs: &[PathBuf]) -> String {
    let mut command = String::from("status=0");
    for program in programs.iter().filter_map(|program| program.file_name()) {
        command += &format!("; {}/{} || status=1", image::TESTS, program.to_string_lossy());
    }
    command + "; exit $status"
}
