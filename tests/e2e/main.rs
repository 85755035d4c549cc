//! Real clients, asserting exact values against the cgroup.
//!
//! The same program runs on whatever machine it finds itself on: cgroup v1,
//! hybrid, or pure v2 in the VM. What a test needs of the machine it says.

mod daemon;
mod limits;
mod reading;
mod whose;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [daemon::trials(), limits::trials(), reading::trials(), whose::trials()];
    support::program::main(trials.into_iter().flatten().collect())
}
