//! What can be known to fail before anything is done.

use std::fs;
use std::io::{self, IsTerminal, stdin};
use std::path::Path;

use nix::unistd::geteuid;

use crate::cli::refusal::Refusal;
use crate::cli::run::Request;
use crate::message::Failure;
use crate::plan::{Plan, RootSource};

/// Checks what `request` needs of the machine.
pub(super) fn check(request: &Request) -> Result<(), Failure> {
    root_user()?;
    if !request.detach {
        terminal(request.plan.process.terminal, request.interactive)?;
    }
    paths(&request.plan)
}

/// Namespaces, cgroups and mounts are for root.
pub(super) fn root_user() -> Result<(), Failure> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::of("only root can start containers", "try: sudo porthole ..."))
}

/// With both -i and -t the user's keys go to the container's terminal.
pub(super) fn terminal(terminal: bool, interactive: bool) -> Result<(), Failure> {
    if !terminal || !interactive || stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::of("the input device is not a TTY", "leave -t out to pass on a file or pipe"))
}

fn paths(plan: &Plan) -> Result<(), Failure> {
    if let RootSource::Directory(path) = &plan.root.source {
        root_directory(path)?;
    }
    for volume in &plan.volumes {
        if let Err(error) = fs::metadata(&volume.source) {
            let what = format!("-v {}", volume.source.display());
            let way_out = format!("make it first: mkdir -p {}", volume.source.display());
            return Err(missing(&what, &error, &way_out).into());
        }
    }
    Ok(())
}

fn root_directory(path: &Path) -> Result<(), Refusal> {
    let what = format!("--rootfs {}", path.display());
    let way_out = "give a folder with a root file system, or leave the option out to borrow this machine's programs";
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Refusal::new(what, "not a folder").instead(way_out)),
        Err(error) => Err(missing(&what, &error, way_out)),
    }
}

fn missing(what: &str, error: &io::Error, way_out: &str) -> Refusal {
    Refusal::new(what, crate::message::line(error, None)).instead(way_out)
}
