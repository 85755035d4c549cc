//! A caller that waits for its answer, and its memory.
//!
//! A thread id is its caller's only while the call is in flight: the caller may be killed,
//! and its number given to a process that has nothing to do with it. So its memory is
//! opened first, and then the kernel is asked whether it still waits: if so, what was
//! opened is its own, whatever happens from here on.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::listeners::Listener;
use super::notes::Request;
use crate::sys::notify;

/// The caller is gone, and nobody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// A caller that waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    listener: &'a Listener,
    id: u64,
    /// Its thread, as our pid namespace numbers it.
    pub(super) thread: u32,
}

impl<'a> Waiting<'a> {
    /// Whoever makes the call in `request`; `None` where there is no call, or it is made
    /// outside of our pid namespace.
    pub(super) fn new(listener: &'a Listener, request: &Request) -> Option<Self> {
        let (id, thread) = (request.id()?, request.thread());
        (thread != 0).then_some(Self { listener, id, thread })
    }

    /// # Errors
    ///
    /// [`Gone`] when it does not wait any more, so that what was learned by its number
    /// may be about somebody else.
    pub(super) fn check(&self) -> Result<(), Gone> {
        if notify::is_waiting(self.listener.as_fd(), self.id) { Ok(()) } else { Err(Gone) }
    }

    /// Its memory; `None` when the kernel does not let us.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub(super) fn memory(&self) -> Result<Option<Memory>, Gone> {
        let path = format!("/proc/{}/mem", self.thread);
        let opened = OpenOptions::new().read(true).write(true).open(path);
        self.check()?;
        Ok(opened.ok().map(Memory))
    }
}

/// The memory of a caller.
///
/// Written to even where the caller itself may not write: what it hits is its own.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// Writes all of `bytes` at `place`; false when there is no memory there.
    pub(super) fn write(&self, place: u64, bytes: &[u8]) -> bool {
        self.0.write_all_at(bytes, place).is_ok()
    }

    /// Reads as many bytes as `bytes` has from `place`; false likewise.
    pub(super) fn read(&self, place: u64, bytes: &mut [u8]) -> bool {
        self.0.read_exact_at(bytes, place).is_ok()
    }
}
