//! Standard input, output and error of a new process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::pty::Winsize;
use nix::sys::stat::Mode;
use nix::sys::statfs::{DEVPTS_SUPER_MAGIC, fstatfs};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::Stdio;
use super::talk::ChildEnd;
use crate::report::{Fault, Object};
use crate::rootfs::devices::Devices;
use crate::rootfs::inside::Inside;
use crate::rootfs::mounting::attach;
use crate::sys::mount_api::{Depth, copy_mount};
use crate::sys::{terminal, terminal_size};

const THREE_FILES: &str = "standard input, output and error";

/// Whether the process still needs a terminal made for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Its three files are in place.
    Nothing,
    /// It gets a terminal of this size, once there is a devpts.
    Terminal(Option<Winsize>),
}

/// Puts the three files in place at once, so that no descriptor opened later
/// takes one of their numbers.
pub(super) fn install(stdio: Stdio) -> Result<Wanted, Fault> {
    let (files, wanted) = match stdio {
        Stdio::Inherit { stdin, stdout, stderr } => ([stdin, stdout, stderr], Wanted::Nothing),
        Stdio::Terminal(size) => (three_nulls().of("/dev/null")?, Wanted::Terminal(size)),
    };
    // Copies get numbers above the standard ones, so that putting one in place
    // does not close another.
    let copies = files.iter().map(OwnedFd::try_clone).collect::<Result<Vec<_>, _>>();
    // The originals may have the numbers that are about to be given away, which
    // must not be closed after that.
    drop(files);
    put(&copies.of(THREE_FILES)?).of(THREE_FILES)?;
    Ok(wanted)
}

fn three_nulls() -> nix::Result<[OwnedFd; 3]> {
    let null = || open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    Ok([null()?, null()?, null()?])
}

/// Makes `files` the standard ones, in this order.
fn put(files: &[OwnedFd]) -> nix::Result<()> {
    let [stdin, stdout, stderr] = files else { return Err(Errno::EBADF) };
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)
}

/// Makes the first process its terminal, which is also `/dev/console`.
///
/// By descriptors alone: `/dev/pts/N` is never looked up (CVE-2025-52565).
pub(super) fn make_terminal(
    devices: &Devices,
    size: Option<Winsize>,
    parent: &ChildEnd,
) -> Result<(), Fault> {
    let slave = open_terminal(devices.pts.as_fd(), size, parent)?;
    let console = devices.dev.file(Path::new("console"))?;
    let mount = copy_mount(slave.as_fd(), "", Depth::One).of("/dev/console")?;
    attach(&mount, &console, "/dev/console")
}

/// Makes a later process its terminal, in the container that it has joined.
pub(super) fn make_later_terminal(size: Option<Winsize>, parent: &ChildEnd) -> Result<(), Fault> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).of("/")?;
    let pts = Inside::new(root).plain_place(Path::new("/dev/pts")).of("/dev/pts")?;
    if fstatfs(&pts).of("/dev/pts")?.filesystem_type() != DEVPTS_SUPER_MAGIC {
        return Err(Fault::new("/dev/pts", "something else than devpts is mounted there"));
    }
    open_terminal(pts.as_fd(), size, parent).map(drop)
}

/// Opens a new terminal of `pts`, hands its host's end to the parent and makes
/// its other end the controlling terminal and the standard files.
fn open_terminal(
    pts: BorrowedFd<'_>,
    size: Option<Winsize>,
    parent: &ChildEnd,
) -> Result<OwnedFd, Fault> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let master = openat(pts, "ptmx", flags, Mode::empty()).of("/dev/pts/ptmx")?;
    let slave = terminal::open_peer(master.as_fd()).of("a terminal")?;
    if let Some(size) = size {
        terminal_size::write(slave.as_fd(), &size).of("the terminal's size")?;
    }
    become_controlled(slave.as_fd()).of("a terminal")?;
    parent.send_terminal(master.as_fd()).of("the terminal, for its host's end")?;
    Ok(slave)
}

/// Makes `slave` the controlling terminal and the three standard files.
fn become_controlled(slave: BorrowedFd<'_>) -> nix::Result<()> {
    terminal::make_controlling(slave)?;
    dup2_stdin(slave)?;
    dup2_stdout(slave)?;
    dup2_stderr(slave)
}
