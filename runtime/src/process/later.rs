//! A later process of a container, of `porthole exec`: the child's part.
//!
//! It is born in the container's pid and time namespaces, joins the rest, and
//! then takes the same last steps as the first.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sched::{CloneFlags, setns};

use super::inherited::leave_behind;
use super::stdio::{self, Wanted};
use super::talk::ChildEnd;
use super::{Stdio, Target, command};
use crate::plan::{Calls, Plan, Process};
use crate::report::{AtStep, LaunchError, Object, Step};

/// Becomes `process` in the container `target`; what comes back is an exit status.
pub(super) fn run(
    target: &Target,
    plan: &Plan,
    process: &Process,
    calls: Calls,
    stdio: Stdio,
    parent: ChildEnd,
) -> i32 {
    command::run(process, &plan.security, calls, parent, |parent| steps(target, stdio, parent))
}

/// Every step from the birth to the command, in order.
fn steps(target: &Target, stdio: Stdio, parent: &ChildEnd) -> Result<(), LaunchError> {
    let wanted = stdio::install(stdio).at(Step::OpenStdio)?;
    leave_behind(&[parent.as_fd(), target.init.as_fd()]).at(Step::Clone)?;
    parent.wait_for_gate().of("the parent").at(Step::Gate)?;
    join(target.init.as_fd()).of("the container's namespaces").at(Step::EnterNamespaces)?;
    if let Wanted::Terminal(size) = wanted {
        stdio::make_later_terminal(size, parent).at(Step::OpenStdio)?;
    }
    Ok(())
}

/// Joins the namespaces that a process can join itself; the root and working
/// directory become the container's.
fn join(init: BorrowedFd<'_>) -> nix::Result<()> {
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    setns(init, namespaces)
}
