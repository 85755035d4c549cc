//! What outlives an answerer: which listeners there are, and which calls it has taken.
//!
//! One memfd, made by the holder. The buffer that the kernel writes a call into *is* the
//! note: there is no moment at which an answerer has taken a call that its successor
//! cannot find. Its pages are in memory before the first call is taken.
//!
//! Everything is atomic words, so that a process that is killed between any two
//! instructions leaves nothing that the next cannot read.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::call::Raw;
use crate::shared::calls::LISTENERS;

/// Threads of an answerer. One that is kept waiting by its caller's memory, which a
/// container may do on purpose, keeps nobody else waiting.
pub const THREADS: usize = 4;

/// Words of `struct seccomp_notif`.
const REQUEST_WORDS: usize = 10;

/// Counts incompatible changes of [`Notes`]. A version with another one does not answer
/// beside this holder.
pub const LAYOUT: u32 = 1;

/// The whole layout.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Notes {
    /// One for each thread of the answerer.
    pub taken: [Taken; THREADS],
    /// [`LAYOUT`] of the holder's version.
    pub layout: AtomicU32,
    /// 1 once an answerer of this generation answers; the holder's to clear.
    pub answers: AtomicU32,
    /// 1 while the timer that watches for calls that take too long is running.
    pub watch_armed: AtomicU32,
    /// Signs of life of the answerer, which it gives when it is woken.
    pub beats: AtomicU32,
    /// Answerers that had to be replaced.
    pub takeovers: AtomicU64,
    /// Of these, those that were counted where the daemon tells of them.
    pub counted_takeovers: AtomicU64,
    /// The holder's pid: an answerer that has another parent has lost it.
    pub holder: AtomicU32,
    /// The holder's listeners.
    pub listeners: [Place; LISTENERS],
}

/// A place for a listener in the holder's table.
#[derive(Debug)]
#[repr(C)]
pub struct Place {
    /// Counts listeners; 0 while the place is free. Written last when one comes, first
    /// when it goes.
    generation: AtomicU64,
    /// Its number in the holder.
    number: AtomicU32,
}

/// A listener: where it is, and which one of those that were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Name {
    /// Place in the table.
    pub index: u32,
    /// As the place's.
    pub generation: u64,
}

/// The call that a thread has taken.
#[derive(Debug)]
#[repr(C, align(256))]
pub struct Taken {
    index: AtomicU32,
    /// How often it was begun to be answered.
    pub tries: AtomicU32,
    generation: AtomicU64,
    /// When, in nanoseconds of `CLOCK_BOOTTIME`; 0 while the thread has none.
    pub since_ns: AtomicU64,
    /// As the kernel wrote it.
    pub request: Request,
    /// 1 while the caller's memory is read or written, which may keep us waiting for as
    /// long as the caller wants.
    pub in_memory: AtomicU32,
}

/// A call as the kernel writes it; `struct seccomp_notif`.
#[derive(Debug)]
#[repr(C)]
pub struct Request(pub [AtomicU64; REQUEST_WORDS]);

/// The holder's version notes calls in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the holder's notes have layout {found}, this version knows {LAYOUT}")]
pub struct LayoutError {
    /// What the notes say; 0 when nobody has begun to write them.
    pub found: u32,
}

impl Notes {
    /// Begins notes as the holder with this pid.
    pub fn begin(&self, holder: u32) {
        self.holder.store(holder, SeqCst);
        self.layout.store(LAYOUT, SeqCst);
    }

    /// # Errors
    ///
    /// [`LayoutError`] when another version wrote them.
    pub fn check(&self) -> Result<(), LayoutError> {
        match self.layout.load(SeqCst) {
            LAYOUT => Ok(()),
            found => Err(LayoutError { found }),
        }
    }

    /// Somebody has killed the answerer: that says nothing about the calls it had taken.
    pub fn blame_nobody(&self) {
        self.taken.iter().for_each(|taken| taken.tries.store(0, SeqCst));
    }
}

impl Place {
    /// The listener here: its name's generation and its number in the holder.
    pub fn listener(&self) -> Option<(u64, u32)> {
        let generation = self.generation.load(SeqCst);
        let number = self.number.load(SeqCst);
        let is_same = self.generation.load(SeqCst) == generation;
        (generation != 0 && is_same).then_some((generation, number))
    }

    /// A listener comes.
    pub fn occupy(&self, generation: u64, number: u32) {
        self.number.store(number, SeqCst);
        self.generation.store(generation, SeqCst);
    }

    /// It goes.
    pub fn vacate(&self) {
        self.generation.store(0, SeqCst);
    }
}

impl Taken {
    /// Notes whose call is going to be taken.
    pub fn begin(&self, listener: Name) {
        self.tries.store(0, SeqCst);
        self.index.store(listener.index, SeqCst);
        self.generation.store(listener.generation, SeqCst);
        self.request.clear();
    }

    /// Whose call it is.
    pub fn listener(&self) -> Name {
        Name { index: self.index.load(SeqCst), generation: self.generation.load(SeqCst) }
    }

    /// Forgets the call: it is answered.
    pub fn end(&self) {
        self.since_ns.store(0, SeqCst);
        self.in_memory.store(0, SeqCst);
        self.request.clear();
    }

    /// Nobody is to answer it again: the next answerer leaves it to the kernel.
    pub fn give_up(&self) {
        self.tries.store(u32::MAX / 2, SeqCst);
    }
}

impl Request {
    /// The kernel's number of the call; `None` when there is no call here.
    pub fn id(&self) -> Option<u64> {
        Some(self.word(0)).filter(|id| *id != 0)
    }

    /// The thread that calls, as our pid namespace numbers it; 0 when it is outside.
    pub fn thread(&self) -> u32 {
        self.halves(1).0
    }

    /// Which call it is.
    pub fn raw(&self) -> Raw {
        let (number, architecture) = self.halves(2);
        // Word 3 is where in the program it was made.
        Raw { architecture, number, arguments: [self.word(4), self.word(5), self.word(6)] }
    }

    /// Writes to the memory without changing anything, so that the kernel need not bring
    /// it in.
    pub fn touch(&self) {
        for word in &self.0 {
            word.fetch_or(0, Relaxed);
        }
    }

    fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, SeqCst));
    }

    fn word(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(SeqCst))
    }

    /// The two 32-bit fields of a word, in the order in which they are in memory.
    fn halves(&self, index: usize) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h] = self.word(index).to_ne_bytes();
        (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Taken {
        Taken {
            index: AtomicU32::new(0),
            tries: AtomicU32::new(0),
            generation: AtomicU64::new(0),
            since_ns: AtomicU64::new(0),
            request: Request(std::array::from_fn(|_word| AtomicU64::new(0))),
            in_memory: AtomicU32::new(0),
        }
    }

    #[test]
    fn a_request_is_read_as_the_kernel_writes_it() {
        let taken = taken();
        taken.begin(Name { index: 3, generation: 9 });
        assert_eq!((taken.request.id(), taken.listener().index), (None, 3));
        let bytes: Vec<u8> = [
            &77_u64.to_ne_bytes()[..],
            &4711_u32.to_ne_bytes(),
            &0_u32.to_ne_bytes(),
            &99_u32.to_ne_bytes(),
            &0xC000_003E_u32.to_ne_bytes(),
            &0xDEAD_u64.to_ne_bytes(),
            &1_u64.to_ne_bytes(),
            &2_u64.to_ne_bytes(),
            &3_u64.to_ne_bytes(),
        ]
        .concat();
        for (word, bytes) in taken.request.0.iter().zip(bytes.chunks(8)) {
            word.store(u64::from_ne_bytes(bytes.try_into().unwrap()), SeqCst);
        }
        let request = &taken.request;
        assert_eq!((request.id(), request.thread()), (Some(77), 4711));
        let raw = Raw { architecture: 0xC000_003E, number: 99, arguments: [1, 2, 3] };
        assert_eq!(request.raw(), raw);
        taken.end();
        assert_eq!(request.id(), None);
    }

    /// `runtime/src/security/standby.rs` reads ids by these numbers.
    #[test]
    fn ids_are_where_runtimes_look_for_them() {
        use std::mem::{offset_of, size_of};
        assert_eq!((offset_of!(Notes, taken), THREADS, size_of::<Taken>()), (0, 4, 256));
        assert_eq!(offset_of!(Taken, request), 24);
    }

    /// A holder of an earlier version has nothing there, and its answerer writes nothing.
    #[test]
    fn what_came_later_is_where_nothing_was() {
        use std::mem::offset_of;
        assert_eq!((offset_of!(Taken, in_memory), offset_of!(Notes, beats)), (104, 1036));
        assert_eq!((offset_of!(Notes, takeovers), offset_of!(Notes, listeners)), (1040, 1064));
    }

    #[test]
    fn a_place_names_its_listener() {
        let place = Place { generation: AtomicU64::new(0), number: AtomicU32::new(0) };
        assert_eq!(place.listener(), None);
        place.occupy(5, 40);
        assert_eq!(place.listener(), Some((5, 40)));
        place.vacate();
        assert_eq!(place.listener(), None);
    }
}
