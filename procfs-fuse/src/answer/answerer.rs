//! The life of an answerer: answer what the one before had taken, then whatever comes.
//!
//! It may be killed at any instant. What it has taken is in the [`Notes`], and what it
//! has not is still the kernel's to hand out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, Pid};
use tracing::{info, warn};

use super::beside::Beside;
use super::listeners::Listeners;
use super::notes::{Notes, THREADS, Taken};
use super::turn::Answers;
use super::{descriptors, rights};
use crate::config::Settings;
use crate::serve::Server;
use crate::shared::Shared;
use crate::shared::calls::LISTENERS;
use crate::sys::{clock, descriptor, process as processes, shared_memory, timer};

/// How often the holder looks for calls that take too long, while any is answered.
pub(super) const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// How long an answerer that leaves everything to the kernel lives, before a real one is
/// tried again.
const FALLBACK_LIFE: Duration = Duration::from_secs(10);

/// Descriptors that an answerer wants: enough for all that [`Settings`] lets it keep open,
/// and one for the init of each of tens of thousands of containers, as a worker does.
const WANTED_DESCRIPTORS: u64 = 65_536;

/// What an answerer says that has lost its holder before it began.
const HOLDER_GONE: &str = "the process that holds listeners has ended";

/// What the holder tells an answerer on its command line.
#[derive(Debug)]
pub struct AnswererOptions {
    /// Leave everything to the kernel.
    pub fallback: bool,
    /// How to read.
    pub settings: Settings,
    /// The memory of the daemon beside which it answers, where there is one.
    pub daemon: Option<&'static Shared>,
}

/// Lives the life of an answerer; returns only on errors.
///
/// # Errors
///
/// Why it cannot answer.
pub fn run(options: AnswererOptions) -> io::Result<()> {
    let memory = descriptor::inherited(descriptors::MEMORY)?;
    let watch = descriptor::inherited(descriptors::WATCH)?;
    let wake = descriptor::inherited(descriptors::WAKE)?;
    let notes = shared_memory::map_notes(memory.as_fd())?;
    let holder = holder(notes)?;
    notes.check().map_err(io::Error::other)?;
    keep_notes(notes);
    let beside = Beside::new(options.daemon);
    let server = if options.fallback {
        None
    } else {
        let settings = options.settings.within(descriptors_for_files()?);
        let server = Server::new(settings).map_err(io::Error::other)?;
        Some(server.with_memory(Box::new(beside)))
    };
    rights::give_up()?;
    let answerer = Arc::new(Answerer {
        answers: Answers::new(server, beside)?,
        beside,
        listeners: Listeners::new(notes, holder)?,
        notes,
        watch,
        behind: AtomicUsize::new(THREADS),
    });
    answerer.follow()?;
    answerer.tell();
    start_threads(&answerer)?;
    if options.fallback {
        thread::spawn(|| {
            thread::sleep(FALLBACK_LIFE);
            process::exit(0)
        });
    }
    loop {
        wait(&wake)?;
        answerer.follow()?;
        notes.beats.fetch_add(1, SeqCst);
    }
}

/// What the threads of an answerer share.
#[derive(Debug)]
struct Answerer {
    answers: Answers,
    beside: Beside,
    listeners: Listeners,
    notes: &'static Notes,
    watch: OwnedFd,
    /// Threads that have yet to answer what was taken before them.
    behind: AtomicUsize,
}

/// How many descriptors are left beside those for listeners, of which each needs one.
fn descriptors_for_files() -> io::Result<u64> {
    let granted = descriptor::granted(WANTED_DESCRIPTORS)?;
    // With few, the holder does not hold so many.
    Ok(granted - (LISTENERS as u64).min(granted / 2))
}

/// The holder, which is our parent and ends us with itself: without it there is nobody to
/// go on after us, and whoever waits for our end would wait for ever.
fn holder(notes: &Notes) -> io::Result<OwnedFd> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let pid = notes.holder.load(SeqCst);
    let holder = processes::pidfd_open(Pid::from_raw(pid.cast_signed()));
    // It may have been killed before we were to be told of it.
    if pid != 0 && parent_id() == pid { Ok(holder?) } else { Err(io::Error::other(HOLDER_GONE)) }
}

/// Brings the notes into memory, to stay there.
fn keep_notes(notes: &'static Notes) {
    if let Err(error) = shared_memory::keep_resident(&notes.taken) {
        warn!(%error, "notes of system calls cannot be locked in memory");
    }
    notes.taken.iter().for_each(|taken| taken.request.touch());
}

fn start_threads(answerer: &Arc<Answerer>) -> io::Result<()> {
    let idle = Arc::clone(answerer);
    thread::Builder::new().name("rest".to_owned()).spawn(move || idle.answers.give_back())?;
    for (number, taken) in answerer.notes.taken.iter().enumerate().take(THREADS) {
        let answerer = Arc::clone(answerer);
        thread::Builder::new().name(format!("calls-{number}")).spawn(move || {
            answerer.replay(taken);
            loop {
                if let Err(error) = answerer.turn(taken) {
                    // The successor tries again what failed here.
                    tracing::error!(%error, "calls cannot be taken");
                    process::exit(1)
                }
            }
        })?;
    }
    Ok(())
}

/// Waits until listeners have come or gone.
fn wait(wake: &OwnedFd) -> io::Result<()> {
    match unistd::read(wake, &mut [0; 8]) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Answerer {
    /// Opens listeners that have come, and closes those that have gone.
    fn follow(&self) -> io::Result<()> {
        self.beside.tell_listeners(self.notes);
        self.listeners.follow()
    }

    /// Says what there is to begin with.
    fn tell(&self) {
        let takeovers = self.notes.takeovers.load(SeqCst);
        let taken = self.notes.taken.iter().filter(|taken| taken.request.id().is_some()).count();
        self.beside.count_takeovers(self.notes);
        info!(takeovers, taken, "answering system calls");
    }

    /// Answers what the answerers before have taken in this place, and not answered. One
    /// that keeps its thread waiting keeps no other.
    fn replay(&self, taken: &Taken) {
        if taken.request.id().is_some()
            && let Some(listener) = self.listeners.find(taken.listener())
        {
            self.answers.answer(&listener, taken);
        }
        taken.end();
        if self.behind.fetch_sub(1, SeqCst) == 1 {
            self.notes.answers.store(1, SeqCst);
        }
    }

    /// Takes the next call and answers it.
    fn turn(&self, taken: &Taken) -> io::Result<()> {
        let Some(listener) = self.listeners.next()? else { return Ok(()) };
        taken.begin(listener.name());
        // Its caller was killed, or a signal came: there is nothing to answer.
        if crate::sys::notify::receive(listener.as_fd(), &taken.request).is_ok() {
            taken.since_ns.store(clock::boottime_ns(), SeqCst);
            self.watch()?;
            self.answers.answer(&listener, taken);
        }
        self.listeners.put_back(&listener);
        Ok(())
    }

    /// Sees to it that the timer runs for as long as any call is being answered.
    fn watch(&self) -> io::Result<()> {
        if self.notes.watch_armed.swap(1, SeqCst) == 0 {
            timer::arm(self.watch.as_fd(), WATCH_INTERVAL)?;
        }
        Ok(())
    }
}
