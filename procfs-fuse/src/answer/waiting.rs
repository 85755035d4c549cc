//! A caller that waits for its answer, and its memory.
//!
//! A thread id is its caller's only while the call is in flight: the caller may be killed,
//! and its number given to a process that has nothing to do with it. So its memory is
//! opened first, and then the kernel is asked whether it still waits: if so, what was
//! opened is its own, whatever happens from here on.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use super::listeners::Listener;
use super::notes::Taken;
use crate::sys::notify;

/// The caller is gone, and nobody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// A caller that waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    listener: &'a Listener,
    id: u64,
    in_memory: &'a AtomicU32,
    /// Its thread, as our pid namespace numbers it.
    pub(super) thread: u32,
}

impl<'a> Waiting<'a> {
    /// Whoever makes the call in `taken`; `None` where there is no call, or it is made
    /// outside of our pid namespace.
    pub(super) fn new(listener: &'a Listener, taken: &'a Taken) -> Option<Self> {
        let (id, thread) = (taken.request.id()?, taken.request.thread());
        (thread != 0).then_some(Self { listener, id, in_memory: &taken.in_memory, thread })
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
    pub(super) fn memory(&self) -> Result<Option<Memory<'a>>, Gone> {
        let path = format!("/proc/{}/mem", self.thread);
        let opened = OpenOptions::new().read(true).write(true).open(path);
        self.check()?;
        Ok(opened.ok().map(|file| Memory { file, in_memory: self.in_memory }))
    }
}

/// The memory of a caller.
///
/// Written to even where the caller itself may not write: what it hits is its own.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    file: File,
    /// Says whether we are in there now: it may be made to keep us waiting.
    in_memory: &'a AtomicU32,
}

impl Memory<'_> {
    /// Writes all of `bytes` at `place`; false when there is no memory there.
    pub(super) fn write(&self, place: u64, bytes: &[u8]) -> bool {
        self.reach(|file| file.write_all_at(bytes, place))
    }

    /// Reads as many bytes as `bytes` has from `place`; false likewise.
    pub(super) fn read(&self, place: u64, bytes: &mut [u8]) -> bool {
        self.reach(|file| file.read_exact_at(bytes, place))
    }

    fn reach(&self, access: impl FnOnce(&File) -> io::Result<()>) -> bool {
        self.in_memory.store(1, SeqCst);
        let done = access(&self.file);
        self.in_memory.store(0, SeqCst);
        done.is_ok()
    }
}
