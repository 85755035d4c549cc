//! Being the container's terminal until it ends: bytes, signals and sizes.

use std::io::{self, IsTerminal, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::Winsize;
use nix::sys::signal::Signal;

use super::pump::Pump;
use super::raw_mode::RawMode;
use super::signals::Forwarded;
use super::streams::{Ours, never_waiting};
use crate::sys::terminal_size;

/// Everything between the user and a container in the foreground.
#[derive(Debug)]
pub struct Relay {
    signals: Forwarded,
    input: Option<Pump>,
    outputs: Vec<Pump>,
    terminal: Option<OwnedFd>,
    raw: Option<RawMode>,
}

/// Hands a signal on to the container's command.
pub type Forward<'a> = &'a mut dyn FnMut(Signal) -> io::Result<()>;

impl Relay {
    /// A relay for a container without a terminal, or whose terminal is not there
    /// yet.
    ///
    /// # Errors
    ///
    /// When the process has no room for more descriptors.
    pub fn new(signals: Forwarded, ours: Ours) -> io::Result<Self> {
        let (input, outputs) = ours.pumps()?;
        Ok(Self { signals, input, outputs, terminal: None, raw: None })
    }

    /// Shows the container's `terminal` in the user's; with `interactive` the
    /// user's keys go to it.
    ///
    /// # Errors
    ///
    /// When the user's terminal cannot be put into raw mode.
    pub fn show(&mut self, terminal: OwnedFd, interactive: bool) -> io::Result<()> {
        let terminal = never_waiting(terminal)?;
        let screen = stdout().as_fd().try_clone_to_owned()?;
        self.outputs.push(Pump::new(terminal.try_clone()?, screen));
        if interactive {
            let keys = stdin().as_fd().try_clone_to_owned()?;
            self.raw = Some(RawMode::enter(keys.try_clone()?)?);
            self.input = Some(Pump::new(keys, terminal.try_clone()?));
        }
        self.terminal = Some(terminal);
        self.resize();
        Ok(())
    }

    /// Moves bytes and hands signals to `forward` until `end` is readable.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it, or `forward` failed.
    pub fn until(&mut self, end: BorrowedFd<'_>, forward: Forward<'_>) -> io::Result<()> {
        loop {
            let ready = self.wait(Some(end), PollTimeout::NONE)?;
            self.step(&ready.pumps);
            if ready.signal {
                self.obey(forward)?;
            }
            if ready.end {
                return Ok(());
            }
        }
    }

    /// Moves what the container has still written before it ended, and gives the
    /// user's terminal back. A signal ends it early, so that a user whose output
    /// is stuck can leave.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it.
    pub fn finish(mut self) -> io::Result<()> {
        self.input = None;
        loop {
            let stuck = self.outputs.iter().any(Pump::has_pending);
            let timeout = if stuck { PollTimeout::NONE } else { PollTimeout::ZERO };
            let ready = self.wait(None, timeout)?;
            if ready.signal || ready.pumps.is_empty() {
                return Ok(());
            }
            self.step(&ready.pumps);
        }
    }

    fn pumps(&mut self) -> impl Iterator<Item = &mut Pump> {
        self.input.iter_mut().chain(&mut self.outputs)
    }

    fn step(&mut self, ready: &[usize]) {
        for (index, pump) in self.pumps().enumerate() {
            if ready.contains(&index) {
                pump.step();
            }
        }
        if self.terminal.is_some() && self.outputs.iter().all(Pump::is_finished) {
            self.hang_up();
        }
    }

    /// Closes our end of the container's terminal: nobody looks at it any more, and
    /// a command that writes to it learns that instead of waiting for ever.
    fn hang_up(&mut self) {
        self.input = None;
        self.terminal = None;
    }

    fn wait(&self, end: Option<BorrowedFd<'_>>, timeout: PollTimeout) -> io::Result<Ready> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let mut indices = Vec::new();
        for (index, pump) in self.input.iter().chain(&self.outputs).enumerate() {
            if let Some((fd, event)) = pump.waits_for() {
                fds.push(PollFd::new(fd, event));
                indices.push(index);
            }
        }
        fds.extend(end.map(|end| PollFd::new(end, PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => return Ok(Ready::default()),
            other => other?,
        };
        let mut happened = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let signal = happened.next() == Some(true);
        let pumps = indices.into_iter().filter(|_| happened.next() == Some(true)).collect();
        Ok(Ready { signal, pumps, end: happened.next() == Some(true) })
    }

    fn obey(&mut self, forward: Forward<'_>) -> io::Result<()> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                Signal::SIGWINCH => self.resize(),
                signal => forward(signal)?,
            }
        }
        Ok(())
    }

    /// Gives the container's terminal the size of the user's.
    fn resize(&self) {
        if let (Some(terminal), Some(size)) = (&self.terminal, own_size()) {
            // A terminal whose last user has closed it needs no size.
            let _ = terminal_size::write(terminal.as_fd(), &size);
        }
    }
}

/// The size of the terminal that the user looks at, if there is one.
pub fn own_size() -> Option<Winsize> {
    let (output, input) = (stdout(), stdin());
    let terminal = if output.is_terminal() { output.as_fd() } else { input.as_fd() };
    terminal_size::read(terminal).ok()
}

/// What a poll has found.
#[derive(Debug, Default)]
struct Ready {
    end: bool,
    signal: bool,
    /// Indices of pumps, the input first.
    pumps: Vec<usize>,
}
