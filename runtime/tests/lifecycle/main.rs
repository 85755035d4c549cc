//! `porthole` as its users meet it: from its command line, on a real machine.
//!
//! What is tested is the life of containers: that they begin, end, are found,
//! and leave nothing, whoever is killed meanwhile. What is *in* a container is
//! the business of `tests/containers`, and what it is shown of `tests/e2e`.

mod background;
mod endings;
mod engine;
mod killed;
mod limits;
mod refusals;
mod signals;
mod terminals;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [
        background::trials(),
        endings::trials(),
        killed::trials(),
        limits::trials(),
        refusals::trials(),
        signals::trials(),
        terminals::trials(),
    ];
    support::program::main(trials.into_iter().flatten().collect())
}
