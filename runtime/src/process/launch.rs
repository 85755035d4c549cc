//! Starting a process and hearing it out until its command runs: the parent's
//! part, the same for a container's first process and for later ones.

use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};

use super::next_child::NextChild;
use super::talk::{self, ChildEnd, Message, ParentEnd};
use super::{Gate, Launched, Stdio, Target, first, later};
use crate::plan::{Calls, Network, Plan, Process};
use crate::report::{AtStep, Fault, LaunchError, Note, Object, Step};
use crate::security::holder::Place;
use crate::security::standby::Standby;
use crate::sys::clone::{Child, clone_into};
use crate::sys::signal;

/// Starts the first process of the container that `plan` describes.
///
/// Returns when its command has been executed. The process is killed when the
/// caller ends. Its system calls are answered as planned if there is a `place` for
/// that.
///
/// # Errors
///
/// [`LaunchError`], and then no process is left behind.
pub fn launch(
    plan: &Plan,
    place: Option<&Place>,
    stdio: Stdio,
    gate: Gate<'_>,
) -> Result<Launched, LaunchError> {
    let next = NextChild::with(plan.clock).at(Step::Clone)?;
    let calls = calls(plan, place);
    let child = |parent| first::run(plan, calls, stdio, parent);
    start(next, namespaces(plan), place, gate, child)
}

/// Who answers system calls, now that it is known whether there is a `place`.
fn calls(plan: &Plan, place: Option<&Place>) -> Calls {
    place.map_or(Calls::Host, |_place| plan.calls)
}

/// Starts `process` in the namespaces, root and security of the running
/// container that `plan` describes.
///
/// Returns when its command has been executed. The process is killed when the
/// caller ends.
///
/// # Errors
///
/// [`LaunchError`], and then no process is left behind.
pub fn enter(
    target: &Target,
    plan: &Plan,
    process: &Process,
    place: Option<&Place>,
    stdio: Stdio,
    gate: Gate<'_>,
) -> Result<Launched, LaunchError> {
    // The child is in the sight of the container's processes from its birth, and
    // may not be traced by them (CVE-2016-9962): it inherits this.
    prctl::set_dumpable(false).of("the dumpable flag").at(Step::Clone)?;
    let next = NextChild::inside(target).at(Step::EnterNamespaces)?;
    let calls = calls(plan, place);
    let child = |parent| later::run(target, plan, process, calls, stdio, parent);
    start(next, CloneFlags::empty(), place, gate, child)
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

/// Clones, and sees the child through to its command.
fn start(
    mut next: NextChild,
    namespaces: CloneFlags,
    place: Option<&Place>,
    gate: Gate<'_>,
    child: impl FnOnce(ChildEnd) -> i32,
) -> Result<Launched, LaunchError> {
    let (ours, theirs) = talk::pair().of("a socket pair").at(Step::Clone)?;
    let mut notes = Vec::from_iter(next.note.take());
    // Moved, so that the parent is left without its copy of the child's end and
    // sees it closed.
    let child = clone_into(namespaces, move || child(theirs));
    let put_back = next.put_back().at(Step::Clone);
    let child = child.of("a process in new namespaces").at(Step::Clone)?;
    match put_back.and_then(|()| attend(&child, &ours, &mut notes, place, gate)) {
        Ok(Told { terminal, standby }) => {
            Ok(Launched { pid: child.pid, pidfd: child.pidfd, terminal, standby, notes })
        }
        Err(error) => {
            end(&child);
            Err(error)
        }
    }
}

/// What a child has handed over on its way to the command.
#[derive(Debug, Default)]
struct Told {
    /// The host's end of its terminal.
    terminal: Option<OwnedFd>,
    /// The listener for its system calls, which is held.
    standby: Option<Standby>,
}

/// Puts the child into its cgroups and hears it out until its command runs.
fn attend(
    child: &Child,
    ours: &ParentEnd,
    notes: &mut Vec<Note>,
    place: Option<&Place>,
    gate: Gate<'_>,
) -> Result<Told, LaunchError> {
    gate(child.pid)
        .map_err(|error| Fault::new(format!("process {}", child.pid), error))
        .at(Step::Gate)?;
    // A child that is gone has said why, or is found dead below.
    let _gone = ours.open_gate();
    let mut told = Told::default();
    let mut ready = false;
    while let Some((message, fd)) = ours.receive().of("a message").at(Step::Clone)? {
        match message {
            Message::Note(note) => notes.push(note),
            Message::Terminal => told.terminal = fd,
            Message::Listener => told.standby = hand_over(place, fd).at(Step::HandOver)?,
            Message::Ready => ready = true,
            Message::Failed(error) => return Err(error),
        }
    }
    if ready { Ok(told) } else { Err(died(child).at(Step::Clone)) }
}

/// Has the listener held from now on.
fn hand_over(place: Option<&Place>, listener: Option<OwnedFd>) -> Result<Option<Standby>, Fault> {
    let (Some(place), Some(listener)) = (place, listener) else { return Ok(None) };
    let held = place.reservation.hand_over(listener.as_fd());
    let standby = held.and_then(|held| Standby::new(listener, held, place.source.clone()));
    let standby = standby.of("the listener for system calls");
    standby.map(Some).map_err(|fault| fault.with_hint("use --no-syscall-view to go without"))
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
fn end(child: &Child) {
    // Both fail when `died` has already waited for it, which is as well: by its
    // descriptor no other process can be hit that has its number now.
    let _ended = signal::send(child.pidfd.as_fd(), Signal::SIGKILL);
    let _waited_for = waitpid(child.pid, None);
}
