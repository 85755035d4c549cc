//! The loop on `/dev/fuse`: read one request, answer it, again.
//!
//! The loop is our own and not `fuser`'s because the buffer that `read(2)` fills
//! must be one that outlives this process (docs/decisions/own-device-loop.md).
//!
//! A request must be answered on the descriptor that it was read from.
//!
//! Kernel source of truth: `fuse_dev_do_read()` and `fuse_dev_do_write()` in
//! `fs/fuse/dev.c`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

use nix::errno::Errno;
use nix::unistd;

use crate::fuse::filesystem::Filesystem;
use crate::fuse::rehearsal::Omission;
use crate::fuse::reply::Reply;
use crate::fuse::request::{Operation, Request};
use crate::log::limited;
use crate::shared::Shared;
use crate::shared::counters::{self, Asked};
use crate::shared::header::WATCH_INTERVAL;
use crate::shared::slots::{Bank, REQUEST_LENGTH, Realm, SLOTS, Slot};
use crate::sys::{clock, fuse_device, shared_memory, timer};

/// Everything that answering needs; shared by all threads.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) filesystem: Filesystem,
    /// The sessions' descriptors and their clones: thread *n* uses the *n*th, in
    /// every generation. `None` where there is no such thread.
    pub(crate) devices: [Option<OwnedFd>; SLOTS],
    /// Has the keeper look after busy slots.
    pub(crate) watch: OwnedFd,
    pub(crate) shared: &'static Shared,
    /// A precaution that is left out on purpose.
    pub(crate) omission: Option<Omission>,
}

impl Server {
    /// Serves requests from device `number` with `slot` until unmounted.
    ///
    /// # Errors
    ///
    /// When the kernel no longer takes or gives messages for another reason.
    pub(crate) fn serve(&self, number: usize, slot: &Slot) -> io::Result<()> {
        let Some(Some(device)) = self.devices.get(number) else { return Ok(()) };
        let realm = Realm::of_thread(number);
        let mut answering = Answering::new();
        counters::use_lane(number);
        slot.thread.store(unistd::gettid().as_raw().cast_unsigned(), SeqCst);
        while receive(device.as_fd(), slot, self.omission)? {
            self.answer((device.as_fd(), realm), slot, &mut answering)?;
        }
        Ok(())
    }

    /// Answers what the worker of `bank` may have left unanswered when it died.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub(crate) fn replay(&self, bank: &Bank) -> io::Result<u32> {
        let mut answering = Answering::new();
        let mut replayed = 0;
        for (number, (device, slot)) in self.devices.iter().zip(&bank.slots).enumerate() {
            let Some(device) = device else { continue };
            self.judge(slot);
            slot.thread.store(unistd::gettid().as_raw().cast_unsigned(), SeqCst);
            if is_unanswered(slot) {
                let realm = Realm::of_thread(number);
                self.answer((device.as_fd(), realm), slot, &mut answering)?;
                replayed += 1;
            }
        }
        Ok(replayed)
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

    /// Answers the request in `slot`, which came through a realm's device.
    fn answer(
        &self,
        (device, realm): (BorrowedFd<'_>, Realm),
        slot: &Slot,
        answering: &mut Answering,
    ) -> io::Result<()> {
        slot.busy_since.store(clock::boottime_ns(), SeqCst);
        if self.shared.header.watch_armed.swap(1, SeqCst) == 0 {
            timer::arm(self.watch.as_fd(), WATCH_INTERVAL)?;
        }
        let Answering { request, reply } = answering;
        match Request::parse(slot.request.message(request)) {
            Some(request) => {
                self.shared.counters.request(asked(&request.operation));
                reply.clear();
                if let Some(result) = self.filesystem.answer(realm, &request, slot, reply) {
                    send(device, &request, result, reply)?;
                }
                slot.answered.store(request.unique, SeqCst);
            }
            None => limited!(warn, "a request is cut short; nobody can be answered"),
        }
        slot.pair.store(0, SeqCst);
        slot.busy_since.store(0, SeqCst);
        Ok(())
    }
}

/// What a thread needs to answer, kept from one request to the next.
struct Answering {
    request: Box<[u8; REQUEST_LENGTH]>,
    reply: Reply,
}

impl Answering {
    fn new() -> Self {
        Self { request: Box::new([0; REQUEST_LENGTH]), reply: Reply::new() }
    }
}

/// Waits for a request; false once unmounted.
fn receive(device: BorrowedFd<'_>, slot: &Slot, omission: Option<Omission>) -> io::Result<bool> {
    loop {
        let read = match omission {
            None => fuse_device::read_request(device, &slot.request),
            Some(Omission::Prefault) => shared_memory::forget(&slot.request)
                .and_then(|()| fuse_device::read_request(device, &slot.request)),
            Some(Omission::Journal) => fuse_device::read_and_note(device, &slot.request),
        };
        let Err(error) = read else { return Ok(true) };
        match error.raw_os_error() {
            // ENOENT: the caller was killed while its request was being copied.
            Some(libc::EINTR | libc::EAGAIN | libc::ENOENT) => {}
            Some(libc::ENODEV) => return Ok(false),
            _other => return Err(error),
        }
    }
}

/// What `operation` counts as.
fn asked(operation: &Operation<'_>) -> Asked {
    match operation {
        Operation::Lookup { .. } => Asked::Lookup,
        Operation::Getattr => Asked::Getattr,
        Operation::Open => Asked::Open,
        Operation::Read { .. } => Asked::Read,
        Operation::Release { .. } => Asked::Release,
        Operation::Readdir { .. } => Asked::Readdir,
        _seldom => Asked::Other,
    }
}

/// True when the request in `slot` may not have been answered.
fn is_unanswered(slot: &Slot) -> bool {
    let mut buffer = [0; REQUEST_LENGTH];
    let request = Request::parse(slot.request.message(&mut buffer));
    request.is_some_and(|request| request.unique != slot.answered.load(SeqCst))
}

fn send(
    device: BorrowedFd<'_>,
    request: &Request<'_>,
    result: Result<(), Errno>,
    reply: &mut Reply,
) -> io::Result<()> {
    match unistd::write(device, reply.finish(request.unique, result)) {
        // ENOENT: nobody waits for it any more, for example because a dead
        // predecessor answered. ENODEV: unmounted; the next read says so too.
        Ok(_) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
        // The kernel refused this answer, and its reader waits: an error at
        // least lets it go on.
        Err(Errno::EINVAL) => {
            limited!(error, operation = ?request.operation, "the kernel refused an answer");
            unistd::write(device, reply.finish(request.unique, Err(Errno::EIO)))?;
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}
