//! A container's first process: the child's part, from its birth to the command.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::sethostname;

use super::Stdio;
use super::command;
use super::inherited::leave_behind;
use super::stdio::{self, Wanted};
use super::talk::{ChildEnd, Message};
use crate::plan::Plan;
use crate::report::{AtStep, Fault, LaunchError, Note, Object, Step};
use crate::rootfs::devices::Devices;
use crate::rootfs::enter;
use crate::rootfs::kernel_files::KernelFiles;
use crate::rootfs::mounting::make_private;
use crate::rootfs::new_root::NewRoot;
use crate::rootfs::sources::Sources;
use crate::rootfs::stage::Stage;

/// Becomes the first process of `plan`; what comes back is an exit status.
pub(super) fn run(plan: &Plan, stdio: Stdio, parent: &ChildEnd) -> i32 {
    let lived = catch_unwind(AssertUnwindSafe(|| steps(plan, stdio, parent)));
    let error = match lived {
        Ok(Err(error)) => error,
        Ok(Ok(never)) => match never {},
        Err(_panic) => Fault::new("the container", "a bug: the child panicked").at(Step::Clone),
    };
    let exit_code = error.exit_code();
    // When the parent is gone there is nobody left to tell.
    let _told = parent.send(&Message::Failed(error));
    exit_code.into()
}

/// Every step from the birth to the command, in order.
fn steps(plan: &Plan, stdio: Stdio, parent: &ChildEnd) -> Result<Infallible, LaunchError> {
    let wanted = stdio::install(stdio).at(Step::OpenStdio)?;
    leave_behind(parent.as_fd()).at(Step::Clone)?;

    make_private().at(Step::BuildRoot)?;
    let sources = Sources::open(plan).at(Step::OpenSources)?;
    let stage = Stage::new(None).at(Step::BuildRoot)?;
    let root = NewRoot::build(&stage, sources.root, plan).at(Step::BuildRoot)?;
    let _kernel = KernelFiles::mount(&root.inside).at(Step::MountKernelFiles)?;
    let devices = Devices::mount(&root.inside).at(Step::MountKernelFiles)?;
    if let Wanted::Terminal(size) = wanted {
        stdio::make_terminal(&devices, size, parent).at(Step::OpenStdio)?;
    }

    // All that was made so far costs next to nothing; what follows belongs to
    // the container, and is charged to it.
    parent.wait_for_gate().of("the parent").at(Step::Gate)?;
    unshare(CloneFlags::CLONE_NEWCGROUP).of("a cgroup namespace").at(Step::Clone)?;
    if plan.root.read_only {
        root.make_read_only().at(Step::BuildRoot)?;
    }
    sethostname(&plan.hostname).of("the host name").at(Step::SetUp)?;
    let note = enter::enter(&root.inside).at(Step::EnterRoot)?;
    tell(parent, root.notes.into_iter().chain(note)).at(Step::Clone)?;

    prctl::set_pdeathsig(Signal::SIGKILL).of("the death signal").at(Step::GiveUpRights)?;
    parent.send(&Message::Ready).of("the parent").at(Step::Execute)?;
    command::execute(&plan.process).at(Step::Execute)
}

fn tell(parent: &ChildEnd, notes: impl Iterator<Item = Note>) -> Result<(), Fault> {
    for note in notes {
        parent.send(&Message::Note(note)).of("the parent")?;
    }
    Ok(())
}
