//! A container's first process: the child's part, from its birth to the command.

use std::os::fd::AsFd;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::Stdio;
use super::command;
use super::inherited::leave_behind;
use super::stdio::{self, Wanted};
use super::talk::{ChildEnd, Message};
use crate::cgroup::ContainerCgroup;
use crate::plan::{Calls, Network, Plan, View};
use crate::report::{AtStep, Fault, LaunchError, Note, Object, Step};
use crate::rootfs::cgroup_files::Layout;
use crate::rootfs::devices::Devices;
use crate::rootfs::kernel_files::KernelFiles;
use crate::rootfs::mounting::make_private;
use crate::rootfs::new_root::NewRoot;
use crate::rootfs::sources::Sources;
use crate::rootfs::stage::Stage;
use crate::rootfs::view::ViewFiles;
use crate::rootfs::{enter, masks, private_tree, volumes, whole};
use crate::sys::loopback;

/// Becomes the first process of `plan`; what comes back is an exit status.
pub(super) fn run(plan: &Plan, calls: Calls, stdio: Stdio, parent: ChildEnd) -> i32 {
    command::run(&plan.process, &plan.security, calls, parent, |parent| steps(plan, stdio, parent))
}

/// Every step from the birth to the command, in order.
///
/// All descriptors that lead out of the container are closed when it returns.
fn steps(plan: &Plan, stdio: Stdio, parent: &ChildEnd) -> Result<(), LaunchError> {
    let wanted = stdio::install(stdio).at(Step::OpenStdio)?;
    leave_behind(&[parent.as_fd()]).at(Step::Clone)?;

    make_private().at(Step::BuildRoot)?;
    let sources = Sources::open(plan).at(Step::OpenSources)?;
    let mut view = open_view(plan).at(Step::OpenSources)?;
    let cgroups = Layout::of_host().at(Step::OpenSources)?;

    let stage = Stage::new(plan.resources.memory).at(Step::BuildRoot)?;
    let root = NewRoot::build(&stage, sources.root, &sources.resolvers, plan);
    let root = root.at(Step::BuildRoot)?;
    let kernel = KernelFiles::mount(&root.inside).at(Step::MountKernelFiles)?;
    let devices = Devices::mount(&root.inside).at(Step::MountKernelFiles)?;

    // Nothing of the above depends on the cgroups, and it takes as long as
    // joining them, which the parent does meanwhile.
    parent.wait_for_gate().of("the parent").at(Step::Gate)?;
    // A tree is made for the groups that its asker is in, so not before.
    if let View::Mounted(mount_point) = &plan.view {
        let note = private_tree::take(&mut view, mount_point, &stage);
        tell(parent, note.at(Step::OpenSources)?)?;
    }
    unshare(CloneFlags::CLONE_NEWCGROUP).of("a cgroup namespace").at(Step::Clone)?;
    cgroups.mount(&kernel).at(Step::MountKernelFiles)?;
    for (volume, source) in plan.volumes.iter().zip(&sources.volumes) {
        volumes::mount(&root.inside, volume, source).at(Step::MountVolumes)?;
    }
    tell(parent, view.mount(&kernel).at(Step::MountView)?)?;
    if plan.keeps_whole_instances() {
        whole::mount(&devices).at(Step::MountView)?;
    }
    masks::mount(&kernel, &devices, &plan.security).at(Step::Mask)?;
    if let Wanted::Terminal(size) = wanted {
        stdio::make_terminal(&devices, size, parent).at(Step::OpenStdio)?;
    }
    root.inside.directory(&plan.process.cwd).at(Step::BuildRoot)?;
    if plan.root.read_only {
        root.make_read_only().at(Step::BuildRoot)?;
    }

    set_up(plan).at(Step::SetUp)?;
    tell(parent, enter::enter(&root.inside).at(Step::EnterRoot)?)?;
    tell(parent, root.notes)
}

/// The files of the view, opened.
fn open_view(plan: &Plan) -> Result<ViewFiles, Fault> {
    let View::Mounted(mount_point) = &plan.view else { return Ok(ViewFiles::none()) };
    let files = ViewFiles::open(mount_point)?;
    match ContainerCgroup::of(&plan.id).unified_directory() {
        Some(group) => files.with_pressure_of(&group),
        None => Ok(files),
    }
}

/// What the new namespaces begin with.
fn set_up(plan: &Plan) -> Result<(), Fault> {
    sethostname(&plan.hostname).of("the host name")?;
    match plan.network {
        Network::None => loopback::bring_up().of("loopback up"),
        Network::Host => Ok(()),
    }
}

fn tell(parent: &ChildEnd, notes: impl IntoIterator<Item = Note>) -> Result<(), LaunchError> {
    for note in notes {
        parent.send(&Message::Note(note)).of("the parent").at(Step::Clone)?;
    }
    Ok(())
}
