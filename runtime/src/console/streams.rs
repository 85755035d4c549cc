//! Which descriptors a container gets, and what stays with us.

use std::io::{self, IsTerminal, stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use super::pump::Pump;
use crate::process::Stdio;

/// Our ends of the pipes that stand between the container and a terminal of the
/// host, or its output file.
#[derive(Debug, Default)]
pub struct Ours {
    /// Its standard input, to be written.
    pub stdin: Option<OwnedFd>,
    /// Its standard output, to be read.
    pub stdout: Option<OwnedFd>,
    /// Its standard error, to be read.
    pub stderr: Option<OwnedFd>,
}

/// For a container without a terminal, in the foreground.
///
/// # Errors
///
/// When the process has no room for more descriptors.
pub fn attached(interactive: bool) -> io::Result<(Stdio, Ours)> {
    let mut ours = Ours::default();
    let stdin = match (interactive, stdin().is_terminal()) {
        (false, _) => null()?,
        (true, false) => stdin().as_fd().try_clone_to_owned()?,
        (true, true) => input_pipe(&mut ours.stdin)?,
    };
    let stdout = output(&stdout(), &mut ours.stdout)?;
    let stderr = output(&stderr(), &mut ours.stderr)?;
    Ok((Stdio::Inherit { stdin, stdout, stderr }, ours))
}

/// For a container without a terminal, in the background. With `interactive` its
/// input is open and stays silent; else it is at its end.
///
/// # Errors
///
/// When the process has no room for more descriptors.
pub fn detached(interactive: bool) -> io::Result<(Stdio, Ours)> {
    let mut ours = Ours::default();
    let stdin = if interactive { input_pipe(&mut ours.stdin)? } else { null()? };
    let stdout = output_pipe(&mut ours.stdout)?;
    let stderr = output_pipe(&mut ours.stderr)?;
    Ok((Stdio::Inherit { stdin, stdout, stderr }, ours))
}

impl Ours {
    /// The descriptors that there are.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.stdin, &self.stdout, &self.stderr].into_iter().flatten().map(AsFd::as_fd)
    }

    /// The pumps between our ends and our own standard input, output and error:
    /// the one for input, and those for output.
    ///
    /// # Errors
    ///
    /// When the process has no room for more descriptors.
    pub fn pumps(self) -> io::Result<(Option<Pump>, Vec<Pump>)> {
        let mut outputs = Vec::new();
        if let Some(read_end) = self.stdout {
            outputs.push(Pump::new(read_end, stdout().as_fd().try_clone_to_owned()?));
        }
        if let Some(read_end) = self.stderr {
            outputs.push(Pump::new(read_end, stderr().as_fd().try_clone_to_owned()?));
        }
        let input = match self.stdin {
            Some(write_end) => Some(Pump::new(stdin().as_fd().try_clone_to_owned()?, write_end)),
            None => None,
        };
        Ok((input, outputs))
    }
}

fn output<Own: AsFd + IsTerminal>(own: &Own, ours: &mut Option<OwnedFd>) -> io::Result<OwnedFd> {
    if own.is_terminal() { output_pipe(ours) } else { own.as_fd().try_clone_to_owned() }
}

/// A pipe whose read end is ours; the write end is returned.
fn output_pipe(ours: &mut Option<OwnedFd>) -> io::Result<OwnedFd> {
    let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC)?;
    *ours = Some(never_waiting(read_end)?);
    Ok(write_end)
}

/// A pipe whose write end is ours; the read end is returned.
fn input_pipe(ours: &mut Option<OwnedFd>) -> io::Result<OwnedFd> {
    let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC)?;
    *ours = Some(never_waiting(write_end)?);
    Ok(read_end)
}

/// The descriptor, which now answers `EAGAIN` instead of waiting. Only for one
/// that nobody else uses: the flag belongs to the open file, not to us.
pub(super) fn never_waiting(fd: OwnedFd) -> io::Result<OwnedFd> {
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(fd)
}

fn null() -> io::Result<OwnedFd> {
    Ok(open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?)
}
