//! The keeper: holds the FUSE session while workers die and are replaced.
//!
//! It is made to be read in one sitting and to live for as long as the machine
//! runs: one thread, no parsing and no allocation once started, and never a path
//! below its own mount, which would wait for itself.
//!
//! Everything it knows is in the shared memory ([`Bank`](crate::shared::slots::Bank)s and the
//! header), so a keeper of another version continues by exec on the same
//! descriptors. Workers are its children; they tell it by their state and an
//! eventfd, it tells them likewise.
//!
//! ```text
//!   Starting --(worker)--> Ready --(keeper)--> Serving --died--> Lost --(successor)--> Free
//!                                                 \--hung--> Hung --died--> Lost
//! ```

pub mod plan;
mod report;
mod stuck;
mod workers;

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::shared::slots::State;
use crate::shared::{Shared, descriptors};
use crate::sys::{clock, descriptor, process, shared_memory};

use plan::Plan;

/// How often starting a worker is tried again after one could not start, and one
/// that starts is looked at.
const RETRY_MS: u16 = 1000;

/// What the keeper holds.
#[derive(Debug)]
struct Keeper {
    plan: Plan,
    shared: &'static Shared,
    /// The file that workers are started from.
    program: OwnedFd,
    /// The file of the version that is being upgraded to.
    next_program: Option<OwnedFd>,
    signals: SignalFd,
    watch: OwnedFd,
    wake: OwnedFd,
    lock: OwnedFd,
    /// The service manager, where there is one.
    notify: Option<OwnedFd>,
    /// End the sessions, for readers that would wait for ever.
    abort: [Option<OwnedFd>; descriptors::ABORT.len()],
    /// The child that heals containers, while it may live.
    healer: Option<Pid>,
    /// The bank of the fallback worker, while it lives.
    fallback: Option<usize>,
    /// The last worker could not start.
    retry: bool,
    /// When the last worker was started, in nanoseconds of `CLOCK_BOOTTIME`.
    started_ns: u64,
    /// Somebody waits to hear that reads are answered.
    unannounced: bool,
}

/// Why the loop ends.
enum End {
    /// SIGTERM or SIGINT.
    Told,
    /// Somebody else unmounted.
    Unmounted,
}

/// The signals that a keeper takes; blocked from before it starts.
pub fn signals() -> SigSet {
    [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// Keeps workers serving until told to stop or unmounted by somebody else.
///
/// # Errors
///
/// When it was not started by `portholefs serve`, or cannot start anything.
pub fn run(plan: Plan) -> io::Result<()> {
    let mut keeper = Keeper::new(plan)?;
    keeper.adopt_ready()?;
    keeper.publish();
    let end = loop {
        if let Some(end) = keeper.turn()? {
            break end;
        }
    };
    keeper.stop(&end)
}

impl Keeper {
    fn new(plan: Plan) -> io::Result<Self> {
        let inherited = descriptor::inherited;
        let memory = inherited(descriptors::MEMORY)?;
        let shared = shared_memory::map(memory.as_fd())?;
        shared.header.check().map_err(io::Error::other)?;
        // The descriptor stays open at its number, for workers and successors.
        let _kept_open = std::mem::ManuallyDrop::new(memory);
        let signals = signals();
        signals.thread_block()?;
        let keeper = Self {
            plan,
            shared,
            program: inherited(descriptors::PROGRAM)?,
            next_program: None,
            signals: SignalFd::with_flags(
                &signals,
                SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
            )?,
            watch: inherited(descriptors::WATCH)?,
            wake: inherited(descriptors::KEEPER_WAKE)?,
            lock: inherited(descriptors::LOCK)?,
            notify: inherited(descriptors::NOTIFY).ok(),
            abort: descriptors::ABORT.map(|number| inherited(number).ok()),
            healer: None,
            fallback: None,
            retry: false,
            started_ns: clock::boottime_ns(),
            unannounced: shared.banks.iter().all(|bank| bank.state() != State::Serving),
        };
        keeper.pass_on(false)?;
        Ok(keeper)
    }

    /// Says whether the keeper's own descriptors pass through exec: to a new
    /// keeper, but never to a worker.
    fn pass_on(&self, inherited: bool) -> io::Result<()> {
        let optional = [&self.notify].into_iter().chain(&self.abort).flatten();
        for own in [&self.lock, &self.program].into_iter().chain(optional) {
            descriptor::set_inherited(own, inherited)?;
        }
        Ok(())
    }

    /// Waits for one thing to happen and deals with it.
    ///
    /// The session is not among them: whoever waits for it is woken by every
    /// request. That it has ended, the worker's exit code tells.
    fn turn(&mut self) -> io::Result<Option<End>> {
        let is_expecting = self.retry || self.find(State::Starting).is_some();
        let timeout = if is_expecting { RETRY_MS.into() } else { PollTimeout::NONE };
        let mut waiting = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
        ];
        let happened = poll(&mut waiting, timeout)?;
        let [signals, wake, watch] =
            waiting.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        self.look_for_stalled()?;
        if happened == 0 && self.retry {
            self.try_again()?;
        }
        if wake {
            descriptor::drain(&self.wake);
            self.adopt_ready()?;
        }
        if watch {
            descriptor::drain(&self.watch);
            self.look_for_hung()?;
        }
        if signals { self.take_signals() } else { Ok(None) }
    }

    fn take_signals(&mut self) -> io::Result<Option<End>> {
        while let Some(signal) = self.signals.read_signal()? {
            match Signal::try_from(signal.ssi_signo.cast_signed())? {
                Signal::SIGCHLD if self.reap()? => return Ok(Some(End::Unmounted)),
                Signal::SIGCHLD => {}
                Signal::SIGHUP => self.begin_upgrade()?,
                _terminate_or_interrupt => return Ok(Some(End::Told)),
            }
        }
        Ok(None)
    }

    /// Starts a worker from the program file as it is now; when it is ready, it
    /// takes over and the keeper follows ([`finish_upgrade`](Self::finish_upgrade)).
    fn begin_upgrade(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        match options.read(true).custom_flags(libc::O_CLOEXEC).open(&self.plan.program) {
            Ok(program) => {
                let program = self.next_program.insert(program.into());
                let program = program.as_fd().try_clone_to_owned()?;
                self.start(program.as_fd(), false)
            }
            Err(_not_there) => {
                self.refuse_upgrade();
                Ok(())
            }
        }
    }

    fn refuse_upgrade(&mut self) {
        self.next_program = None;
        report::count(&self.shared.header.refused_upgrades);
        report::log("the new version did not start; the old one stays");
        self.publish();
    }

    /// Becomes the new version's keeper; a keeper that cannot stays.
    fn finish_upgrade(&mut self) -> io::Result<()> {
        let Some(program) = self.next_program.take() else { return Ok(()) };
        report::count(&self.shared.header.upgrades);
        // `self.program` has that number; what had another would be left open in the new keeper.
        descriptor::place(program.as_fd(), descriptors::PROGRAM)?;
        self.pass_on(true)?;
        let _stays = process::execute(self.program.as_fd(), &self.plan.keeper);
        report::log("the new version's keeper cannot be executed; the old one stays");
        self.pass_on(false)
    }

    /// Ends the workers and unmounts, unless somebody else did.
    fn stop(&mut self, end: &End) -> io::Result<()> {
        self.notify(b"STOPPING=1");
        match end {
            End::Told if self.plan.keep => return Ok(()),
            End::Told => {}
            End::Unmounted => report::log("unmounted by somebody else; stopping"),
        }
        self.kill_all();
        self.forget_stored();
        self.unmount()
    }
}
