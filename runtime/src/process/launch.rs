//! Starting a container's first process: the parent's part.

use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};

use super::clock::NewClocks;
use super::talk::{self, Message, ParentEnd};
use super::{Gate, Launched, Stdio, first};
use crate::plan::{Clock, Network, Plan};
use crate::report::{AtStep, Fault, LaunchError, Note, Object, Step};
use crate::sys::clone::{Child, clone_into};

/// Starts the first process of the container that `plan` describes.
///
/// Returns when its command has been executed. The process is killed when the
/// caller ends.
///
/// # Errors
///
/// [`LaunchError`], and then no process is left behind.
pub fn launch(plan: &Plan, stdio: Stdio, gate: Gate<'_>) -> Result<Launched, LaunchError> {
    let (ours, theirs) = talk::pair().of("a socket pair").at(Step::Clone)?;
    let (clocks, note) = match plan.clock {
        Clock::Host => (None, None),
        Clock::Container => match NewClocks::for_next_child().at(Step::Clone)? {
            Ok(clocks) => (Some(clocks), None),
            Err(note) => (None, Some(note)),
        },
    };
    // Moved, so that the parent is left without its copy of the child's end, and
    // sees it closed.
    let child = clone_into(namespaces(plan), move || first::run(plan, stdio, &theirs));
    let put_back = clocks.map_or(Ok(()), NewClocks::put_back);
    let child = child.of("a process in new namespaces").at(Step::Clone)?;
    let notes = note.into_iter().collect();
    let started = put_back.at(Step::Clone).and_then(|()| attend(&child, &ours, notes, gate));
    started.map_err(|error| end(&child, error)).map(|(terminal, notes)| Launched {
        pid: child.pid,
        pidfd: child.pidfd,
        terminal,
        notes,
    })
}

/// The namespaces that the child is born into. Its cgroup namespace it makes
/// itself, once it is in its cgroups; its time namespace is made before.
fn namespaces(plan: &Plan) -> CloneFlags {
    let always = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    match plan.network {
        Network::None => always | CloneFlags::CLONE_NEWNET,
        Network::Host => always,
    }
}

type Started = (Option<std::os::fd::OwnedFd>, Vec<Note>);

/// Puts the child into its cgroups and hears it out until its command runs.
pub(super) fn attend(
    child: &Child,
    ours: &ParentEnd,
    mut notes: Vec<Note>,
    gate: Gate<'_>,
) -> Result<Started, LaunchError> {
    gate(child.pid).map_err(|error| Fault::new(child.pid, error)).at(Step::Gate)?;
    // A child that is gone has said why, or is found dead below.
    let _gone = ours.open_gate();
    let mut terminal = None;
    let mut ready = false;
    while let Some((message, fd)) = ours.receive().of("a message").at(Step::Clone)? {
        match message {
            Message::Note(note) => notes.push(note),
            Message::Terminal => terminal = fd,
            Message::Ready => ready = true,
            Message::Failed(error) => return Err(error),
        }
    }
    if ready { Ok((terminal, notes)) } else { Err(died(child).at(Step::Clone)) }
}

/// Why a child that said nothing is dead.
fn died(child: &Child) -> Fault {
    let object = "the container's process";
    match waitpid(child.pid, None) {
        Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => {
            Fault::new(object, "it was killed while it was being made")
                .with_hint("if the memory limit is a few megabytes, raise it")
        }
        Ok(status) => Fault::new(object, format!("it ended while it was being made: {status:?}")),
        Err(error) => Fault::new(object, error),
    }
}

/// Ends a child that did not get as far as its command.
pub(super) fn end(child: &Child, error: LaunchError) -> LaunchError {
    // Both fail when `died` has already waited for it, which is as well.
    let _ended = kill(child.pid, Signal::SIGKILL);
    let _waited_for = waitpid(child.pid, None);
    error
}
