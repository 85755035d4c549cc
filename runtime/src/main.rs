//! `porthole`: the container runtime for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    porthole::commands::main()
}
