//! The loop on `/dev/fuse`: read one request, answer it, again.
//!
//! The loop is our own and not `fuser`'s because the buffer that `read(2)` fills
//! must be one that outlives this process (docs/decisions/own-device-loop.md).
//!
//! While more are asked than answered, a thread takes all that the kernel has before it
//! answers any of it, so that the next one can be that of whose turn it is
//! ([`turns`](super::turns), docs/decisions/fairness.md). Whoever lets requests wait goes on
//! until none waits; so while one does, a thread is awake.
//!
//! A request must be answered on the descriptor that it was read from.
//!
//! Kernel source of truth: `fuse_dev_do_read()` and `fuse_dev_do_write()` in
//! `fs/fuse/dev.c`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

use crate::fuse::filesystem::Filesystem;
use crate::fuse::rehearsal::Omission;
use crate::fuse::reply::Reply;
use crate::fuse::request::{Operation, Request};
use crate::fuse::turns::{Order, Turn, Turns, TurnsOfRealms};
use crate::log::limited;
use crate::moment::Moment;
use crate::shared::Shared;
use crate::shared::counters::{self, Asked};
use crate::shared::header::WATCH_INTERVAL;
use crate::shared::slots::{REQUEST_LENGTH, Realm, SLOTS, Slot};
use crate::shared::waiting::{self, Place, Waiting};
use crate::sys::{clock, fuse_device, shared_memory, timer};

/// A request that is there within this time after the last one was answered had been
/// waiting, as there may be others: 3 microseconds, or [`AT_ONCE_LOOKS`] on a slower
/// machine. Reading one takes 1, and whoever was answered needs more to ask again.
const AT_ONCE_NS: u64 = 3_000;

/// The same, in looks for further requests.
const AT_ONCE_LOOKS: u64 = 6;

/// Answers that a thread gives before it looks for further requests: a look costs 0.5
/// microseconds, an answer 10, which is what whoever has just asked waits for.
const ANSWERS_BETWEEN: usize = 4;

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
    /// Where requests wait that this worker has read.
    pub(crate) waiting: &'static Waiting,
    /// In which order they are answered.
    pub(crate) turns: TurnsOfRealms,
    /// A precaution that is left out on purpose.
    pub(crate) omission: Option<Omission>,
}

/// One thread of the worker.
#[derive(Debug, Clone, Copy)]
struct Thread<'a> {
    number: usize,
    realm: Realm,
    device: BorrowedFd<'a>,
    slot: &'a Slot,
    turns: &'a Turns,
    places: &'a [Place],
}

impl Server {
    /// Serves requests from device `number` with `slot` until unmounted.
    ///
    /// # Errors
    ///
    /// When the kernel no longer takes or gives messages for another reason.
    pub(crate) fn serve(&self, number: usize, slot: &Slot) -> io::Result<()> {
        let realm = Realm::of_thread(number);
        let (Some(Some(device)), Some(turns)) =
            (self.devices.get(number), self.turns.get(realm as usize))
        else {
            return Ok(());
        };
        let places = self.waiting.of(realm);
        let thread = Thread { number, realm, device: device.as_fd(), slot, turns, places };
        let mut answering = Answering::new();
        answering.at_once_ns = AT_ONCE_NS.max(AT_ONCE_LOOKS * time_of_a_look(thread.device)?);
        counters::use_lane(number);
        slot.thread.store(unistd::gettid().as_raw().cast_unsigned(), SeqCst);
        while receive(thread.device, slot, self.omission)? {
            self.answer_by_turns(thread, &mut answering)?;
            answering.ended_ns = clock::boottime_ns();
        }
        Ok(())
    }

    /// Answers the request in the slot; if others wait, those whose turn it is first.
    fn answer_by_turns(&self, thread: Thread<'_>, answering: &mut Answering) -> io::Result<()> {
        let turns = thread.turns;
        let came_at_once =
            || clock::boottime_ns().saturating_sub(answering.ended_ns) < answering.at_once_ns;
        let is_one_of_many = turns.has_waiting() || came_at_once() && is_readable(thread.device)?;
        if !is_one_of_many {
            return self.answer_in_slot((thread.device, thread.realm), thread.slot, answering);
        }
        self.let_wait(thread, answering)?;
        loop {
            while is_readable(thread.device)? && receive(thread.device, thread.slot, self.omission)?
            {
                self.let_wait(thread, answering)?;
            }
            for _answer in 0..ANSWERS_BETWEEN {
                let Some(turn) = turns.next() else {
                    self.filesystem.latest.forget();
                    return Ok(());
                };
                self.answer_at(thread, turn, answering)?;
            }
        }
    }

    /// Has the request in the slot wait for its turn; answers it where it cannot.
    fn let_wait(&self, thread: Thread<'_>, answering: &mut Answering) -> io::Result<()> {
        let Thread { number, realm, slot, turns, places, .. } = thread;
        let message = slot.request.message(&mut answering.request);
        let Some(request) = Request::parse(message) else {
            return self.answer_in_slot((thread.device, realm), slot, answering);
        };
        let order = match request.operation {
            Operation::Unanswered => return Ok(()),
            Operation::Release { .. } => Order::First,
            _somebody_waits => Order::Last,
        };
        let unique = request.unique;
        let put = |place: usize| {
            places.get(place).is_some_and(|place| place.put(unique, number, message))
        };
        let since = self.filesystem.latest.moment();
        if turns.wait((self.filesystem.share(realm, &request), since), order, put) {
            // From here on it is the place that a successor finds it in.
            slot.answered.store(unique, SeqCst);
            self.shared.counters.waited();
            return Ok(());
        }
        self.answer_in_slot((thread.device, realm), slot, answering)
    }

    /// Answers the request that waits at a place.
    fn answer_at(
        &self,
        thread: Thread<'_>,
        turn: Turn,
        answering: &mut Answering,
    ) -> io::Result<()> {
        let Some(place) = thread.places.get(turn.place) else { return Ok(()) };
        place.take(thread.number);
        let Some(Some(device)) = self.devices.get(place.device()) else { return Ok(()) };
        let mut message = [0; waiting::LENGTH];
        let message = place.message(&mut message);
        let origin =
            Origin { device: device.as_fd(), realm: thread.realm, since: Some(turn.since) };
        self.answer(origin, message, thread.slot, &mut answering.reply)?;
        place.free();
        thread.turns.free(turn.place);
        Ok(())
    }

    /// Answers the request in `slot`, which came through a realm's device.
    pub(super) fn answer_in_slot(
        &self,
        (device, realm): (BorrowedFd<'_>, Realm),
        slot: &Slot,
        answering: &mut Answering,
    ) -> io::Result<()> {
        let Answering { request, reply, .. } = answering;
        let message = slot.request.message(request);
        let origin = Origin { device, realm, since: None };
        if let Some(unique) = self.answer(origin, message, slot, reply)? {
            slot.answered.store(unique, SeqCst);
        }
        Ok(())
    }

    /// Answers `message` of `origin`, and notes in `slot` what a successor must know should
    /// this be the end of the worker; returns the id of the request.
    pub(super) fn answer(
        &self,
        origin: Origin<'_>,
        message: &[u8],
        slot: &Slot,
        reply: &mut Reply,
    ) -> io::Result<Option<u64>> {
        slot.busy_since.store(clock::boottime_ns(), SeqCst);
        if self.shared.header.watch_armed.swap(1, SeqCst) == 0 {
            timer::arm(self.watch.as_fd(), WATCH_INTERVAL)?;
        }
        let Origin { device, realm, since } = origin;
        let request = Request::parse(message).map(|request| Request { since, ..request });
        if let Some(request) = &request {
            self.shared.counters.request(asked(&request.operation));
            reply.clear();
            if let Some(result) = self.filesystem.answer(realm, request, slot, reply) {
                send(device, request, result, reply)?;
            }
        } else {
            limited!(warn, "a request is cut short; nobody can be answered");
        }
        slot.pair.store(0, SeqCst);
        slot.busy_since.store(0, SeqCst);
        Ok(request.map(|request| request.unique))
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The device that it was read from, which the answer goes to.
    pub(super) device: BorrowedFd<'a>,
    /// The realm of that device.
    pub(super) realm: Realm,
    /// When it was read, if it has waited since.
    pub(super) since: Option<Moment>,
}

/// What a thread needs to answer, kept from one request to the next.
pub(super) struct Answering {
    request: Box<[u8; REQUEST_LENGTH]>,
    pub(super) reply: Reply,
    /// When the last answer was given, in nanoseconds of `CLOCK_BOOTTIME`.
    ended_ns: u64,
    /// What comes within so many nanoseconds after it had been waiting.
    at_once_ns: u64,
}

impl Answering {
    pub(super) fn new() -> Self {
        Self {
            request: Box::new([0; REQUEST_LENGTH]),
            reply: Reply::new(),
            ended_ns: 0,
            at_once_ns: AT_ONCE_NS,
        }
    }
}

/// Whether the kernel has a request now. Another thread may take it first.
fn is_readable(device: BorrowedFd<'_>) -> io::Result<bool> {
    let mut devices = [PollFd::new(device, PollFlags::POLLIN)];
    match poll(&mut devices, PollTimeout::ZERO) {
        Ok(_count) => {}
        Err(Errno::EINTR) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    }
    let [device] = devices;
    Ok(device.revents().is_some_and(|happened| happened.contains(PollFlags::POLLIN)))
}

/// What it takes to look for a request on this machine, in nanoseconds: the shortest of a
/// few times.
fn time_of_a_look(device: BorrowedFd<'_>) -> io::Result<u64> {
    const TIMES: usize = 5;
    let mut shortest = u64::MAX;
    for _time in 0..TIMES {
        let began = clock::boottime_ns();
        is_readable(device)?;
        shortest = shortest.min(clock::boottime_ns().saturating_sub(began));
    }
    Ok(shortest)
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
