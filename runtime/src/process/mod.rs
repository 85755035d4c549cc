//! Making the processes of a container: its first ([`launch()`]) and later ones
//! ([`enter`]).
//!
//! Both clone once, do everything else in the child as a list of named
//! [`Step`](crate::report::Step)s, and come back only when the command has been
//! executed, or with the step that failed, its object and the reason.
//!
//! The caller must be a process with one thread: the child of a clone goes on in
//! ordinary Rust (it allocates), which is sound only when no other thread could
//! have held a lock at that moment. `sys/clone.rs` checks it.
//!
//! What this module does not do: cgroups (the caller's [`Gate`] puts the process
//! there), waiting for the process, moving bytes of its terminal. Those are
//! `container/`, `cgroup/` and `console/`.

mod command;
mod first;
mod inherited;
mod init;
mod later;
mod launch;
mod next_child;
pub(crate) mod own_program;
mod rights;
mod stdio;
mod talk;

use std::os::fd::OwnedFd;

use nix::pty::Winsize;
use nix::unistd::Pid;

pub use crate::report::{LaunchError, Note};
pub use crate::security::holder::{Place, Reservation};
pub use crate::security::standby::{Source, Standby};
pub use launch::{enter, launch};

/// What the process has as standard input, output and error.
#[derive(Debug)]
pub enum Stdio {
    /// Three open files.
    Inherit {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A new terminal of the container's own devpts; see [`Launched::terminal`].
    /// It has this size before the command can ask for it; else the kernel's, 0 by 0.
    Terminal(Option<Winsize>),
}

/// A process that has been started: its command runs.
#[derive(Debug)]
pub struct Launched {
    /// Its id, as the caller sees it. A child of the caller, who must wait for it.
    pub pid: Pid,
    /// The same process, as a descriptor: readable when it has ended.
    pub pidfd: OwnedFd,
    /// The host's end of its terminal, when it was given [`Stdio::Terminal`].
    pub terminal: Option<OwnedFd>,
    /// What has to be done should whoever answers its system calls be killed.
    pub standby: Option<Standby>,
    /// What was done otherwise than planned, in the order it happened.
    pub notes: Vec<Note>,
}

/// The container that [`enter`] starts another process in.
#[derive(Debug)]
pub struct Target {
    /// The container's first process, by [`pidfd_open(2)`](crate::sys::pidfd::open).
    pub init: OwnedFd,
}

/// Puts a process into its cgroups, before its command runs.
///
/// Called once, in the calling process. An error ends the new process, and is
/// the reason that [`launch()`] or [`enter`] gives.
pub type Gate<'a> = &'a mut dyn FnMut(Pid) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
