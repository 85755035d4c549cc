//! `cargo xtask demo`: `top` in a container of half a GiB and one CPU.
//!
//! On a terminal, `top` itself. Without one, the numbers that real programs
//! show on the host, in a container, and in a container with porthole's files,
//! side by side; it succeeds only when the last are right.

mod numbers;
mod running;

use std::io::IsTerminal as _;

use anyhow::{Result, bail};

use crate::place::Place;
use crate::{build, command, setup};
use numbers::{Limits, Numbers};
use running::Running;

/// What the container is given; also on the command line that is shown.
const LIMITS: Limits = Limits { memory_mib: 512, cpus: 1 };

/// Prints what the programs that everybody knows print.
const ASK: &str = "top -b -n1; free -b; getconf _NPROCESSORS_ONLN; nproc";

/// Shows `top` or the numbers.
pub fn run(place: &Place) -> Result<()> {
    setup::install(setup::For::Demo)?;
    if !setup::is_root() {
        bail!("making containers needs root (try: sudo -E cargo xtask demo)");
    }
    build::binaries(place)?;
    let running = Running::start(place)?;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return command::run(running.container(&LIMITS, &["-it"]).args(["--", "top"]));
    }
    compare(&running)
}

/// Asks the same three times, and prints the answers side by side.
fn compare(running: &Running) -> Result<()> {
    let host = std::process::Command::new("sh");
    let host = Numbers::ask(host, ASK)?;
    let inside = |options: &[&str]| {
        let mut container = running.container(&LIMITS, options);
        container.args(["--", "sh"]);
        Numbers::ask(container, ASK)
    };
    let without = inside(&["--no-view"])?;
    let with = inside(&[])?;
    print!("{}", numbers::table(&LIMITS, &host, &without, &with));
    let wrong = numbers::wrong(&LIMITS, &host, &with);
    if !wrong.is_empty() {
        bail!("the container with porthole is told wrong numbers: {}", wrong.join("; "));
    }
    println!("\nThe container with porthole is told its own size.");
    Ok(())
}
