//! `--init`: a process 1 that does what is asked of one.
//!
//! It waits for orphans, hands the signals it gets to the command, and ends with
//! the command's status. It is our own program after a fork, not one of the
//! host's, cannot be traced or read by the container (CVE-2019-5736), and has
//! the same user and rights as the command.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::prctl::set_name;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, setpgid, tcsetpgrp};

use super::talk::ChildEnd;
use crate::report::{Fault, Object};
use crate::sys::clone::{Child, clone_into};
use crate::sys::{command_line, signals};

/// How process 1 is listed in the container, in the place of the command line
/// that it was started with on the host.
const NAME: &str = "porthole-init";
const NAME_IN_LISTS: &CStr = c"porthole-init";

/// What a shell adds to the number of the signal that ended a command.
const KILLED_BY: i32 = 128;

/// Starts `command` as a child of this process, 1, and looks after the container
/// until it ends; returns its exit status.
pub(super) fn run(parent: ChildEnd, command: impl FnOnce(&ChildEnd) -> i32) -> Result<i32, Fault> {
    // Signals wait until they are asked for; none comes too early.
    let all = SigSet::all();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None).of("signals")?;
    let child = clone_into(CloneFlags::empty(), || {
        take_foreground();
        match signals::reset() {
            Ok(()) => command(&parent),
            Err(errno) => errno as i32,
        }
    });
    // From here on the conversation is the command's: it ends with its execution.
    drop(parent);
    let Child { pid, pidfd } = child.of("the command's process")?;
    drop(pidfd);
    hold_no_files().of("/dev/null")?;
    command_line::replace(NAME).of("the command line")?;
    set_name(NAME_IN_LISTS).of("the name")?;
    look_after(pid, &all).of("signals")
}

/// Makes the command's process group the one that the terminal's keys go to.
fn take_foreground() {
    let itself = Pid::from_raw(0);
    // Neither matters without a terminal, where the second fails.
    let _own_group = setpgid(itself, itself);
    let _foreground = tcsetpgrp(std::io::stdin(), nix::unistd::getpid());
}

/// Lets go of standard input and output, so that their other ends see the
/// command close them.
fn hold_no_files() -> nix::Result<()> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)
}

/// Waits for orphans and passes signals on until `command` has ended.
fn look_after(command: Pid, signals: &SigSet) -> nix::Result<i32> {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = reap(command)? {
                    return Ok(status);
                }
            }
            // It may have ended; then SIGCHLD is next.
            Ok(signal) => drop(kill(command, signal)),
            // A signal that Rust has no name for, of the real-time ones.
            Err(Errno::EINVAL | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Waits for every process that has ended; the status of `command` if it is one.
fn reap(command: Pid) -> nix::Result<Option<i32>> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == command => ended = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                ended = Some(KILLED_BY.saturating_add(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
