//! Waiting for a container's end, and doing what comes up meanwhile.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::recorder::Recorder;
use super::report::{Channel, Order};
use crate::console::Forwarded;
use crate::process::Standby;
use crate::sys::signal;

/// Added to the number of the signal that ended a command, as shells do.
const ENDED_BY_SIGNAL: i32 = 128;

/// A running container and everything its monitor listens to.
#[derive(Debug)]
pub struct Watch<'a> {
    init: OwnedFd,
    /// `None` when the command that started a container in the background is gone.
    channel: Option<&'a Channel>,
    signals: Forwarded,
    recorder: Option<Recorder>,
    standby: Option<Standby>,
}

impl<'a> Watch<'a> {
    /// Watches the container whose first process is `init`, a child of ours. With
    /// a recorder it goes on when the other end of the channel closes.
    ///
    /// # Errors
    ///
    /// When the process has no room for another descriptor.
    pub fn new(
        init: OwnedFd,
        channel: &'a Channel,
        recorder: Option<Recorder>,
        standby: Option<Standby>,
    ) -> io::Result<Self> {
        // What the machine sends everybody when it is shut down.
        let signals = Forwarded::of(&SigSet::from_iter([Signal::SIGTERM]))?;
        Ok(Self { init, channel: Some(channel), signals, recorder, standby })
    }

    /// Waits until the container has ended: the exit code of its command, or 128
    /// + the number of the signal that ended it.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it.
    pub fn until_ended(mut self) -> io::Result<u8> {
        loop {
            let ready = self.wait()?;
            // Also before we leave: what was written last.
            if let Some(recorder) = &mut self.recorder {
                recorder.record();
            }
            if ready.init {
                return exit_code(&self.init);
            }
            if ready.signal && self.signals.next()?.is_some() {
                self.send(Signal::SIGTERM)?;
            }
            if ready.channel {
                self.obey()?;
            }
            if ready.standby
                && let Some(standby) = &mut self.standby
            {
                standby.step()?;
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let wanted = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![wanted(self.init.as_fd()), wanted(self.signals.as_fd())];
        fds.extend(self.channel.iter().map(|channel| wanted(channel.as_fd())));
        fds.extend(self.standby.iter().map(|standby| wanted(standby.as_fd())));
        fds.extend(self.recorder.iter().flat_map(Recorder::sources).map(wanted));
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(Ready::default()),
            other => other?,
        };
        let mut happened = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let mut next = || happened.next() == Some(true);
        Ok(Ready {
            init: next(),
            signal: next(),
            channel: self.channel.is_some() && next(),
            standby: self.standby.is_some() && next(),
        })
    }

    /// Carries out the next order; that nobody can give any more is one too.
    fn obey(&mut self) -> io::Result<()> {
        let Some(channel) = self.channel else { return Ok(()) };
        match channel.receive()? {
            Some((Order::Signal(number), _)) => self.send(Signal::try_from(number)?),
            None if self.recorder.is_some() => {
                self.channel = None;
                Ok(())
            }
            None => {
                self.channel = None;
                self.send(Signal::SIGKILL)
            }
        }
    }

    fn send(&self, which: Signal) -> io::Result<()> {
        match signal::send(self.init.as_fd(), which) {
            // It has ended, which is what the next wait will tell.
            Err(Errno::ESRCH) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// The exit code of a child that has ended, which is given up by this.
///
/// # Errors
///
/// `ECHILD`: it is no child of ours.
pub fn exit_code(child: &OwnedFd) -> io::Result<u8> {
    let status = waitid(Id::PIDFd(child.as_fd()), WaitPidFlag::WEXITED)?;
    let code = match status {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => ENDED_BY_SIGNAL + signal as i32,
        // WEXITED asks for no other.
        other => return Err(io::Error::other(format!("unexpected {other:?}"))),
    };
    u8::try_from(code).map_err(io::Error::other)
}

/// What a poll has found, beside output.
#[derive(Debug, Default)]
struct Ready {
    init: bool,
    signal: bool,
    channel: bool,
    standby: bool,
}
