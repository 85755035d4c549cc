//! Bytes from one descriptor to another, without ever waiting for either.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::unistd::{read, write};

/// What is read at once; a pipe that says it is writable takes as much.
const CHUNK: usize = 4096;

/// Bytes on their way from one descriptor to another.
///
/// When the source ends or the destination is gone, both are closed, so that each
/// side learns of the other's end.
#[derive(Debug)]
pub struct Pump {
    ends: Option<(OwnedFd, OwnedFd)>,
    pending: Vec<u8>,
}

impl Pump {
    /// A pump from `source` to `destination`.
    pub fn new(source: OwnedFd, destination: OwnedFd) -> Self {
        Self { ends: Some((source, destination)), pending: Vec::new() }
    }

    /// What to wait for before [`step`](Self::step); `None` when it is finished.
    pub fn waits_for(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (source, destination) = self.ends.as_ref()?;
        Some(if self.pending.is_empty() {
            (source.as_fd(), PollFlags::POLLIN)
        } else {
            (destination.as_fd(), PollFlags::POLLOUT)
        })
    }

    /// True when one of its ends has ended, and with it the pump.
    pub fn is_finished(&self) -> bool {
        self.ends.is_none()
    }

    /// True when bytes were read that are not written yet.
    pub fn has_pending(&self) -> bool {
        self.ends.is_some() && !self.pending.is_empty()
    }

    /// Moves what can be moved; for a pump whose descriptor is ready.
    pub fn step(&mut self) {
        let Some((source, destination)) = &self.ends else { return };
        let moved = if self.pending.is_empty() {
            fill(source, &mut self.pending)
        } else {
            empty(destination, &mut self.pending)
        };
        if moved.is_err() {
            self.ends = None;
        }
    }
}

/// The pump has nothing more to do.
struct Finished;

fn fill(source: &OwnedFd, pending: &mut Vec<u8>) -> Result<(), Finished> {
    let mut chunk = [0; CHUNK];
    match read(source, &mut chunk) {
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(()),
        // EIO is how a terminal ends whose last user has closed it.
        Ok(0) | Err(_) => Err(Finished),
        Ok(length) => {
            pending.extend(chunk.iter().take(length));
            Ok(())
        }
    }
}

fn empty(destination: &OwnedFd, pending: &mut Vec<u8>) -> Result<(), Finished> {
    match write(destination, pending) {
        Ok(length) => {
            pending.drain(..length.min(pending.len()));
            Ok(())
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(()),
        Err(_) => Err(Finished),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn bytes_arrive_and_then_the_end() {
        let (source, input) = pipe().unwrap();
        let (output, destination) = pipe().unwrap();
        let mut pump = Pump::new(source, destination);
        write(&input, b"hello").unwrap();
        drop(input);
        while pump.waits_for().is_some() {
            pump.step();
        }
        let mut text = [0; 16];
        assert_eq!(read(&output, &mut text), Ok(5));
        assert_eq!(&text[..5], b"hello");
        assert_eq!(read(&output, &mut text), Ok(0)); // the destination was closed
    }

    #[test]
    fn a_reader_that_is_gone_closes_the_source() {
        let (source, input) = pipe().unwrap();
        let (output, destination) = pipe().unwrap();
        let mut pump = Pump::new(source, destination);
        write(&input, b"hello").unwrap();
        drop(output);
        pump.step();
        pump.step();
        assert!(pump.waits_for().is_none());
        assert_eq!(write(&input, b"more"), Err(Errno::EPIPE));
    }
}
