//! Requests that were read and wait for their turn: the part of the journal that is not
//! in a [`Slot`](crate::shared::slots::Slot).
//!
//! A request comes here by a copy from the slot that it was read into, and counts as
//! answered there once it is complete here. So at any instant it is in one of the two, or
//! in both, and a successor finds it.
//!
//! What this module does not do: say whose turn it is, or which places are free; that is
//! the worker's (`fuse::turns`), who begins with all of them free.

use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crate::shared::slots::Realm;

/// Requests of one realm that may wait at once. A container with more threads than
/// that delays others, as whatever it has asked beyond stays in the kernel's queue.
pub const PLACES: usize = 256;

/// Longest request that waits, in bytes: a LOOKUP of the longest name.
pub const LENGTH: usize = 296;

/// What waits in one worker. Pages are there once that many have waited at once.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Waiting {
    places: [[Place; PLACES]; Realm::ALL.len()],
}

/// Where one request waits.
#[derive(Debug)]
#[repr(C)]
pub struct Place {
    /// Id of the request; 0 while the place is free.
    unique: AtomicU64,
    /// The thread that has read it: its answer must go to that thread's device.
    reader: AtomicU32,
    /// The thread that answers it, counted from 1; 0 while it waits.
    answerer: AtomicU32,
    request: [AtomicU8; LENGTH],
}

impl Waiting {
    /// The places of `realm`.
    pub fn of(&self, realm: Realm) -> &[Place] {
        self.places.get(realm as usize).map_or(&[], |places| places)
    }

    /// All requests that wait.
    pub fn all(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().flatten().filter(|place| place.unique() != 0)
    }
}

impl Place {
    /// Puts the request `unique` here, which thread `reader` has read; false when it is
    /// too long.
    pub fn put(&self, unique: u64, reader: usize, message: &[u8]) -> bool {
        let Ok(reader) = u32::try_from(reader) else { return false };
        if message.len() > LENGTH {
            return false;
        }
        for (place, byte) in self.request.iter().zip(message) {
            place.store(*byte, Relaxed);
        }
        self.reader.store(reader, Relaxed);
        self.answerer.store(0, Relaxed);
        self.unique.store(unique, SeqCst);
        true
    }

    /// Id of the request; 0 when there is none.
    pub fn unique(&self) -> u64 {
        self.unique.load(SeqCst)
    }

    /// The number of the device that the answer goes to.
    pub fn device(&self) -> usize {
        self.reader.load(Relaxed) as usize
    }

    /// Notes that thread `number` answers it.
    pub fn take(&self, number: usize) {
        self.answerer.store(u32::try_from(number + 1).unwrap_or(0), SeqCst);
    }

    /// The thread that was answering it.
    pub fn answerer(&self) -> Option<usize> {
        (self.answerer.load(SeqCst) as usize).checked_sub(1)
    }

    /// Copies the request out.
    pub fn message<'a>(&self, out: &'a mut [u8; LENGTH]) -> &'a [u8] {
        // Its first word says how long it is.
        let length = u32::from_ne_bytes(std::array::from_fn(|index| {
            self.request.get(index).map_or(0, |byte| byte.load(Relaxed))
        }));
        let message = out.get_mut(..length as usize).unwrap_or_default();
        for (byte, place) in message.iter_mut().zip(&self.request) {
            *byte = place.load(Relaxed);
        }
        message
    }

    /// The request was answered.
    pub fn free(&self) {
        self.unique.store(0, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            unique: AtomicU64::new(0),
            reader: AtomicU32::new(0),
            answerer: AtomicU32::new(0),
            request: [const { AtomicU8::new(0) }; LENGTH],
        }
    }

    /// As the kernel writes it: its length, and what follows.
    fn message(length: u32) -> Vec<u8> {
        let mut message = length.to_ne_bytes().to_vec();
        message.resize(length as usize, 7);
        message
    }

    #[test]
    fn what_was_put_is_found() {
        let place = place();
        for length in [80, 40, 296] {
            assert!(place.put(12, 3, &message(length)));
            let mut out = [0; LENGTH];
            assert_eq!(place.message(&mut out), message(length));
            assert_eq!((place.unique(), place.device(), place.answerer()), (12, 3, None));
            place.take(1);
            assert_eq!(place.answerer(), Some(1));
            place.free();
            assert_eq!(place.unique(), 0);
        }
    }

    #[test]
    fn what_is_too_long_does_not_wait() {
        let place = place();
        assert!(!place.put(12, 0, &message(297)));
        assert_eq!(place.unique(), 0);
    }
}
