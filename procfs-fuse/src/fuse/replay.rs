//! Answering what a dead worker left: requests in its slots, and those that waited.
//!
//! The requests are found where `read(2)` or the dead worker has put them, and answered as
//! if they had just been read. Whatever is answered twice is so to nobody: the kernel knows
//! each request by an id that it uses once.
//!
//! What this module does not do: decide that a worker is dead (`keeper`).

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

use nix::unistd;

use crate::fuse::device::{Answering, Origin, Server};
use crate::fuse::request::Request;
use crate::shared::Shared;
use crate::shared::slots::{Bank, REQUEST_LENGTH, Realm, Slot};
use crate::shared::waiting::{self, Place, Waiting};
use crate::sys::clock;

impl Server {
    /// Answers what the worker of `bank` may have left unanswered when it died, there and in
    /// `waiting`.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub(crate) fn replay(&self, bank: &Bank, waiting: &Waiting) -> io::Result<u32> {
        let mut answering = Answering::new();
        let mut replayed = 0;
        for (number, (device, slot)) in self.devices.iter().zip(&bank.slots).enumerate() {
            let Some(device) = device else { continue };
            self.judge(slot);
            slot.thread.store(unistd::gettid().as_raw().cast_unsigned(), SeqCst);
            if let Some(unique) = unanswered(slot) {
                // It was being copied there.
                waiting.all().filter(|place| place.unique() == unique).for_each(Place::free);
                let realm = Realm::of_thread(number);
                self.answer_in_slot((device.as_fd(), realm), slot, &mut answering)?;
                replayed += 1;
            }
        }
        for place in waiting.all() {
            self.replay_at(place, bank, &mut answering)?;
            replayed += 1;
        }
        Ok(replayed)
    }

    /// Answers a request that waited, with the slot of the thread that was answering it: that
    /// one notes what had been given out for it.
    fn replay_at(&self, place: &Place, bank: &Bank, answering: &mut Answering) -> io::Result<()> {
        let slot = bank.slots.get(place.answerer().unwrap_or(place.device()));
        if let (Some(Some(device)), Some(slot)) = (self.devices.get(place.device()), slot) {
            let realm = Realm::of_thread(place.device());
            let mut message = [0; waiting::LENGTH];
            let message = place.message(&mut message);
            let origin = Origin { device: device.as_fd(), realm, since: None };
            self.answer(origin, message, slot, &mut answering.reply)?;
        }
        place.free();
        Ok(())
    }

    /// Counts the crashes and hangs of the request in `slot` against it.
    fn judge(&self, slot: &Slot) {
        let pair = slot.pair.load(SeqCst);
        let Shared { quarantine, counters, .. } = self.shared;
        for _crash in 0..slot.blame.swap(0, SeqCst) {
            let is_too_often = quarantine.strike(pair, clock::boottime_ns());
            counters.quarantines.add(is_too_often.into());
        }
    }
}

/// The id of the request in `slot`, when it may not have been answered.
fn unanswered(slot: &Slot) -> Option<u64> {
    let mut buffer = [0; REQUEST_LENGTH];
    let request = Request::parse(slot.request.message(&mut buffer))?;
    (request.unique != slot.answered.load(SeqCst)).then_some(request.unique)
}
