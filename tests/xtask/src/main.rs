//! `cargo xtask`: the project's own commands.
//!
//! One file or folder per command. Everything that a command needs beyond a
//! Rust toolchain it installs itself (`setup`), and says so.
//!
//! What this is not: part of the product. Nothing here is shipped.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a program for people at a terminal, and not a library"
)]

mod bench;
mod build;
mod ci;
mod command;
mod demo;
mod place;
mod setup;
mod test;
mod tidy;
mod tools;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use place::Place;

/// Builds, shows and tests porthole
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the Debian packages that building, showing and testing need
    Setup,
    /// Show top in a container of half a GiB and one CPU
    Demo,
    /// Run every test that there is, here and in the VM
    Test(test::Options),
    /// Measure what a read costs, into docs/PERFORMANCE.md
    Bench(bench::Options),
    /// Check the rules that the compiler does not
    Tidy,
    /// What every commit must pass: fmt, clippy, docs and every quick test
    Ci,
    /// Boot a pure cgroup v2 machine with four CPUs and run a command in it
    Vm(vm::Options),
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    match run(&task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<()> {
    let place = Place::find()?;
    match task {
        Task::Setup => {
            setup::install(setup::For::Test)?;
            tools::install(&place);
            Ok(())
        }
        Task::Demo => demo::run(&place),
        Task::Test(options) => test::run(&place, options),
        Task::Bench(options) => bench::run(&place, options),
        Task::Tidy => tidy::run(&place),
        Task::Ci => ci::run(&place),
        Task::Vm(options) => vm::run(&place, options),
    }
}
