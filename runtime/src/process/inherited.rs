//! What a new process gets from its parent and must not keep.

use std::os::fd::BorrowedFd;

use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;

use crate::report::{Fault, Object};
use crate::sys::close::close_all_but;
use crate::sys::signals;

/// Leaves the parent's descriptors, terminal, signals and umask behind.
///
/// The process cannot be traced, nor its descriptors or its executable reached
/// through `/proc`, until it executes the command: it is still our program, in
/// the sight of the container's processes (CVE-2016-9962, CVE-2019-5736).
pub(super) fn leave_behind(kept: &[BorrowedFd<'_>]) -> Result<(), Fault> {
    prctl::set_dumpable(false).of("the dumpable flag")?;
    close_all_but(kept).of("inherited descriptors")?;
    setsid().of("a session")?;
    signals::reset().of("signals")?;
    // Every mode given to the kernel from here on is meant as it is.
    umask(Mode::empty());
    Ok(())
}
