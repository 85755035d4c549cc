//! `cargo xtask ci`: what every commit must pass; `.ci/run` calls it.
//!
//! Every step runs, also after one has failed, so that one run names all that
//! is wrong.

use anyhow::Result;

use crate::place::{Place, cargo};
use crate::{command, test};

/// Cargo's arguments for each step, cheapest first.
const STEPS: &[(&str, &[&str])] = &[
    ("fmt", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("doc", &["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]),
];

/// Runs the steps and every test of the quick tier.
pub fn run(place: &Place) -> Result<()> {
    let mut report = test::Report::default();
    // Clippy compiles, and that needs a library.
    test::check(&mut report, "setup", || crate::setup::install(crate::setup::For::Test));
    for (name, arguments) in STEPS {
        test::check(&mut report, name, || {
            let mut step = cargo();
            step.args(*arguments).env("RUSTDOCFLAGS", "-D warnings").current_dir(&place.workspace);
            command::run(&mut step)
        });
    }
    test::all(place, &test::Options::default(), &mut report);
    test::conclude(&report)
}
