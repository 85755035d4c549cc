//! Real clients, asserting exact values against the cgroup.
//!
//! The same program runs on whatever machine it finds itself on: cgroup v1,
//! hybrid, or pure v2 in the VM. What a test needs of the machine it says.

mod agreement;
mod calls;
mod clients;
mod cpu_directory;
mod cpu_ids;
mod cpu_share;
mod daemon;
mod differential;
mod docker;
mod isolation;
mod lifecycle;
mod limits;
mod load;
mod nesting;
mod observed;
mod pressure;
mod reading;
mod refusals;
mod time;
mod tools;
mod update;
mod whose;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [
        agreement::trials(),
        calls::trials(),
        clients::trials(),
        cpu_directory::trials(),
        cpu_ids::trials(),
        cpu_share::trials(),
        daemon::trials(),
        differential::trials(),
        isolation::trials(),
        lifecycle::trials(),
        limits::trials(),
        load::trials(),
        nesting::trials(),
        observed::trials(),
        pressure::trials(),
        reading::trials(),
        refusals::trials(),
        time::trials(),
        tools::trials(),
        update::trials(),
        whose::trials(),
    ];
    support::program::main(trials.into_iter().flatten().collect())
}
