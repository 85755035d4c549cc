//! Requests that are being answered: the buffer that `read(2)` fills *is* the
//! journal.
//!
//! Each worker has a bank, each of its threads a slot. The kernel writes the
//! request into the slot in the same system call that hands it out, so there is
//! no moment at which a worker has a request that its successor cannot find.
//!
//! The pages must be in memory before the first read: the kernel fails a request
//! with `EIO` when the reading thread is killed while a page of its buffer is
//! brought in.

use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Workers that can exist at once: one that serves, its successor, and hung ones
/// that SIGKILL has not ended yet ([`MOST_STUCK`]).
pub const BANKS: usize = 8;

/// Hung workers that may be left behind before their successors serve the host's
/// files: what so many waited for, the next one would wait for too. A request is
/// in quarantine once it has hung two. The banks beyond are for the fallback worker
/// and its successor.
pub const MOST_STUCK: usize = BANKS - 2;

/// Threads of a worker for one realm, at most. More than a few find nothing to do: a
/// request takes microseconds.
pub const THREADS: usize = 4;

/// Threads of a worker: those of each [realm](Realm) one after the other.
pub const SLOTS: usize = Realm::ALL.len() * THREADS;

/// A file system of ours, each a FUSE session of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// The one that is mounted for everybody: a read is answered for who asks.
    Shared,
    /// A directory for each container that asked for one: a read is answered for the
    /// container that the directory was made for.
    Private,
    /// The same, with the files alone that the kernel may keep for some milliseconds.
    Fresh,
}

impl Realm {
    /// All of them, in the order of their threads.
    pub const ALL: [Self; 3] = [Self::Shared, Self::Private, Self::Fresh];

    /// The realm that the thread with this number answers for.
    pub fn of_thread(number: usize) -> Self {
        match number / THREADS {
            0 => Self::Shared,
            1 => Self::Private,
            _last => Self::Fresh,
        }
    }

    /// The number of its first thread.
    pub fn first_thread(self) -> usize {
        self as usize * THREADS
    }
}

/// Longest request: the kernel insists on room for 8 KiB, and sends no more
/// while at most 4 KiB may be written at once (`fuse::session` negotiates that).
pub const REQUEST_LENGTH: usize = 8192;

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// The bank belongs to no worker.
    Free = 0,
    /// The worker prepares itself.
    Starting = 1,
    /// The worker waits for its predecessor to end. Set by the worker.
    Ready = 2,
    /// The worker serves.
    Serving = 3,
    /// The worker is dead; its requests wait for the successor, which frees the bank.
    Lost = 4,
    /// The worker was killed because it hung, and is not dead yet.
    Hung = 5,
}

/// What belongs to one worker.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Bank {
    state: AtomicU32,
    /// The worker.
    pub pid: AtomicU32,
    /// Its generation.
    pub generation: AtomicU64,
    /// 1 once it may have read a request.
    pub reading: AtomicU32,
    /// Its version, as text padded with zero bytes.
    pub version: [AtomicU8; 32],
    /// One for each of its threads.
    pub slots: [Slot; SLOTS],
}

/// What belongs to one thread of a worker.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Slot {
    /// When the thread began to answer, in nanoseconds of `CLOCK_BOOTTIME`; 0
    /// while it waits for a request.
    pub busy_since: AtomicU64,
    /// Id of the last request that was answered.
    pub answered: AtomicU64,
    /// The thread that answers; 0 while it waits for a request.
    pub thread: AtomicU32,
    /// Crashes and hangs that this request caused and nobody has judged yet.
    pub blame: AtomicU32,
    /// Whom and what the request is about, for the quarantine; 0 when unknown.
    pub pair: AtomicU64,
    /// The id of an OPEN for which `handle` was given out.
    pub handle_for: AtomicU64,
    /// See `handle_for`.
    pub handle: AtomicU64,
    /// The request, as `read(2)` wrote it.
    pub request: Buffer,
}

/// A request as the kernel wrote it; two whole pages.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Buffer(pub [AtomicU8; REQUEST_LENGTH]);

impl Bank {
    /// Where its worker is in its life.
    pub fn state(&self) -> State {
        match self.state.load(SeqCst) {
            1 => State::Starting,
            2 => State::Ready,
            3 => State::Serving,
            4 => State::Lost,
            5 => State::Hung,
            _free_or_unknown => State::Free,
        }
    }

    /// Moves its worker on.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, SeqCst);
    }

    /// Prepares the bank for a new worker.
    pub fn claim(&self, generation: u64) {
        self.pid.store(0, SeqCst);
        self.generation.store(generation, SeqCst);
        self.reading.store(0, SeqCst);
        for slot in &self.slots {
            slot.clear();
        }
        self.set_state(State::Starting);
    }

    /// Its worker is dead, or was killed and is as good as dead.
    ///
    /// A worker that never read a request leaves nothing to its successor, so
    /// however many die at the start, one bank at most waits to be replayed.
    pub fn lose(&self, dead: bool) {
        for slot in &self.slots {
            slot.busy_since.store(0, SeqCst);
        }
        self.set_state(match (dead, self.reading.load(SeqCst)) {
            (false, _) => State::Hung,
            (true, 0) => State::Free,
            (true, _) => State::Lost,
        });
    }
}

impl Slot {
    /// Forgets the request and everything noted about it.
    pub fn clear(&self) {
        for word in [&self.busy_since, &self.answered, &self.pair, &self.handle_for, &self.handle] {
            word.store(0, SeqCst);
        }
        self.thread.store(0, SeqCst);
        self.blame.store(0, SeqCst);
        self.request.copy_in(&[0; 64]);
    }
}

impl Buffer {
    /// Copies the message out, into the beginning of `out`, and returns it. Its
    /// first word says how long it is.
    pub fn message<'a>(&self, out: &'a mut [u8; REQUEST_LENGTH]) -> &'a [u8] {
        let length = u32::from_ne_bytes(std::array::from_fn(|index| {
            self.0.get(index).map_or(0, |byte| byte.load(Relaxed))
        }));
        let message = out.get_mut(..length as usize).unwrap_or_default();
        for (byte, word) in message.iter_mut().zip(&self.0) {
            *byte = word.load(Relaxed);
        }
        message
    }

    /// Writes to every page without changing anything, so that the kernel need
    /// not bring one in while it copies a request.
    pub fn touch(&self) {
        for byte in self.0.iter().step_by(4096) {
            byte.fetch_or(0, Relaxed);
        }
    }

    /// Copies `bytes` to the beginning.
    pub fn copy_in(&self, bytes: &[u8]) {
        for (byte, word) in bytes.iter().zip(&self.0) {
            word.store(*byte, Relaxed);
        }
    }
}
