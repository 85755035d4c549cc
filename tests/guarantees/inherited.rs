//! What whoever starts a daemon has open: a shell's lock, somebody's socket, a listener.
//!
//! A daemon lives on when its starter has ended. What it kept open would stay locked, or be
//! taken for one of its own descriptors, which have agreed numbers.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::unistd::Pid;
use support::{Need, Ran, Verdict, alone, binaries, daemon, leaks, process};

use crate::callers::Callers;
use crate::calls::{holder, nothing_wrong};
use crate::holders::end_holder;
use crate::readers::Readers;
use crate::serving::Serving;

const NEEDS: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::Controller("cpu"),
    Need::Program("bash", "bash"),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("a_daemon_keeps_nothing_of_who_starts_it", NEEDS, daemon_keeps_nothing),
        alone("a_holder_keeps_nothing_of_who_starts_it", NEEDS, holder_keeps_nothing),
    ]
}

/// Opens this file at every number that the daemon uses, and becomes what follows.
const OPEN: &str =
    "for number in {3..140}; do eval \"exec $number</etc/passwd\"; done; exec \"$@\"";

/// The words that have bash do so.
fn bash() -> [&'static str; 4] {
    ["bash", "-c", OPEN, "bash"]
}

fn daemon_keeps_nothing() -> Verdict {
    let program = bash().map(Into::into).into_iter().chain([binaries::path("portholefs")?]);
    let serving = Serving::start_by(program.collect(), support::folder()?, &[])?;
    let readers = Readers::start(&serving)?;
    serving.command(&["upgrade"])?.succeeded()?;
    let seen = readers.finish()?;
    seen.nothing_wrong("started with open files")?;
    nothing_open(serving.keeper())?;
    nothing_open(serving.worker()?.context("nobody serves")?)?;
    serving.stop()
}

fn holder_keeps_nothing() -> Verdict {
    end_holder()?;
    let [program, words @ ..] = bash();
    let mut command = Command::new(program);
    command.args(words).arg(binaries::path("portholefs")?).args(["holder", "--daemon"]);
    command.arg(daemon::shared()?).env(leaks::MARK, leaks::mark());
    Ran::new(&mut command)?.succeeded()?;
    let callers = Callers::start(1)?;
    let held = holder()?;
    nothing_open(held)?;
    nothing_open(process::child(held, "portholefs")?)?;
    nothing_wrong(&callers.finish()?, "beside a holder that was started with open files")?;
    end_holder()
}

fn nothing_open(pid: Pid) -> Result<()> {
    let open = process::descriptors(pid)?;
    let kept: Vec<_> = open.iter().filter(|(_, target)| target.ends_with("passwd")).collect();
    ensure!(kept.is_empty(), "process {pid} has kept {} of its starter's files", kept.len());
    Ok(())
}
