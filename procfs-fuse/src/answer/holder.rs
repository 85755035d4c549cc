//! The process that holds every listener, so that no call is lost when an answerer dies.
//!
//! Made to be read in one sitting: one thread, no parsing, a table of a fixed size.
//! Containers' runtimes hand it listeners ([`connection`]), it starts
//! answerers and replaces those that die or hang. Should *it* be killed, whoever handed
//! a listener over and still has it must find another holder.
//!
//! A listener is let go of when nobody is left who could call: the kernel says so. The
//! holder ends when it holds nothing, soon after or when it was asked to.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen, socket,
};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use tracing::{info, warn};

use super::answerer::WATCH_INTERVAL;
use super::connection::{self, Wish, Word, hear, may_ask, say, say_kept};
use super::descriptors;
use super::notes::Notes;
use super::patience::{Look, Patience, Verdict};
use super::table::{Entry, Table};
use crate::log::limited;
use crate::shared::calls::LISTENERS;
use crate::sys::process::CommandLine;
use crate::sys::{clock, descriptor, process, shared_memory, timer};

/// How long a killed answerer is waited for before the next begins without its end.
const DEATH_MS: u16 = 50;

/// Answerers that die before they answer, one after the other, until one is started that
/// leaves everything to the kernel.
const MOST_FAILURES: u32 = 3;

/// For how long nobody need have answered until an answerer counts as one that cannot start,
/// when it was killed before it did: 10 seconds. Somebody may kill it for sport, and the
/// kernel for the memory that it needs.
const EXCUSED_NS: u64 = 10_000_000_000;

/// How long another holder may take to listen. It takes milliseconds.
const START_LIMIT: Duration = Duration::from_secs(2);

/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(2);

/// Descriptors beside those of the table.
const OTHER_DESCRIPTORS: u64 = 256;

/// How long a holder that holds nothing waits for the next container, in milliseconds.
const LINGER_MS: u16 = 30_000;

/// What the holder is told.
#[derive(Debug)]
pub struct HolderOptions {
    /// Where it listens, and the file that it locks.
    pub paths: (PathBuf, PathBuf),
    /// Where the program file is looked for when another version is asked for.
    pub program: PathBuf,
    /// The command line of an answerer.
    pub answerer: CommandLine,
    /// That of one that leaves everything to the kernel.
    pub fallback: CommandLine,
}

/// What the holder waits for, as the number that epoll hands back.
const SOCKET: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;
const WATCH: u64 = u64::MAX - 2;
/// A connection has the number of its place in the table, a listener this much more.
const LISTENER: u64 = 1 << 32;

/// How an answerer came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By a SIGKILL that was not ours, which says nothing about it.
    Killed,
    /// By itself, or because it hung.
    Failed,
}

#[derive(Debug)]
struct Holder {
    options: HolderOptions,
    program: OwnedFd,
    /// The version before, until an answerer of the one after it has answered.
    before: Option<OwnedFd>,
    /// When the answerer was started, in nanoseconds of `CLOCK_BOOTTIME`.
    started_ns: u64,
    /// When one was last known to answer, likewise.
    answered_ns: u64,
    notes: &'static Notes,
    epoll: Epoll,
    /// `None` once it was asked to end.
    socket: Option<(OwnedFd, Flock<File>)>,
    signals: SignalFd,
    /// The end of the pipe that tells others of our death.
    life: OwnedFd,
    table: Table,
    answerer: Option<Pid>,
    /// With the answerer.
    patience: Patience,
    /// Answerers in a row that died before they answered.
    failures: u32,
}

/// Listens for those who hand over listeners, calls `ready` when it does, and holds them
/// until it was asked to end and none is left. Comes back at once where there is a holder.
///
/// # Errors
///
/// Why it cannot listen, or cannot start anything.
pub fn run(options: HolderOptions, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(lock) = lock(&options.paths.1)? else {
        wait_until_heard(&options.paths.0)?;
        return ready();
    };
    let mut holder = Holder::new(options, lock)?;
    ready()?;
    while !holder.has_ended() {
        holder.turn()?;
    }
    holder.end_answerer();
    Ok(())
}

/// The lock; `None` where another holder has it.
fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let file = File::options().create(true).append(true).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_file, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_file, errno)) => Err(errno.into()),
    }
}

/// Waits until the other holder, which may have just been started, listens.
fn wait_until_heard(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match connection::knock(path) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_not_yet) => thread::sleep(POLL),
        }
    }
}

/// A socket at `path` for root alone, in the place of a dead holder's.
fn listening(path: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _removed => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listening = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(listening.as_raw_fd(), &UnixAddr::new(path)?);
    umask(before);
    bound?;
    listen(&listening, Backlog::new(128)?)?;
    Ok(listening)
}

/// As many listeners as there are descriptors for: two for each, with its connection.
fn room() -> io::Result<usize> {
    let granted = descriptor::granted(OTHER_DESCRIPTORS + 2 * LISTENERS as u64)?;
    let places = granted.saturating_sub(OTHER_DESCRIPTORS) / 2;
    Ok(usize::try_from(places).unwrap_or(LISTENERS).min(LISTENERS))
}

impl Holder {
    fn new(options: HolderOptions, lock: Flock<File>) -> io::Result<Self> {
        let memory = shared_memory::create_notes()?;
        let notes = shared_memory::map_notes(memory.as_fd())?;
        notes.begin(std::process::id());
        descriptor::place(memory.as_fd(), descriptors::MEMORY)?;
        descriptor::place(timer::create()?.as_fd(), descriptors::WATCH)?;
        descriptor::place(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?.as_fd(), descriptors::WAKE)?;
        let (life, ours) = pipe2(OFlag::O_CLOEXEC)?;
        descriptor::place(ours.as_fd(), descriptors::LIFE)?;
        let signals: SigSet =
            [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        signals.thread_block()?;
        let signals =
            SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let socket = listening(&options.paths.0)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = |number| EpollEvent::new(EpollFlags::EPOLLIN, number);
        epoll.add(&socket, readable(SOCKET))?;
        epoll.add(&signals, readable(SIGNALS))?;
        epoll.add(descriptor::borrowed(descriptors::WATCH)?, readable(WATCH))?;
        Ok(Self {
            program: File::open("/proc/self/exe")?.into(),
            before: None,
            started_ns: 0,
            answered_ns: clock::boottime_ns(),
            table: Table::new(room()?),
            options,
            notes,
            epoll,
            socket: Some((socket, lock)),
            signals,
            life,
            answerer: None,
            patience: Patience::default(),
            failures: 0,
        })
    }

    fn has_ended(&self) -> bool {
        self.socket.is_none() && self.table.is_empty()
    }

    /// Waits for one thing to happen and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let mut happened = [EpollEvent::empty()];
        let timeout = if self.table.is_empty() { LINGER_MS.into() } else { EpollTimeout::NONE };
        match self.epoll.wait(&mut happened, timeout) {
            Err(Errno::EINTR) => return Ok(()),
            Ok(0) => {
                self.begin_to_end();
                return Ok(());
            }
            waited => waited?,
        };
        let [event] = happened;
        match event.data() {
            SOCKET => self.accept(),
            SIGNALS => self.take_signals(),
            WATCH => self.look_for_hung(),
            listener if listener >= LISTENER => self.release(listener - LISTENER),
            connection => self.hear(connection),
        }
    }

    /// Keeps a place for whoever has connected.
    fn accept(&mut self) -> io::Result<()> {
        let Some((socket, _lock)) = &self.socket else { return Ok(()) };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let Ok(number) = accept4(socket.as_raw_fd(), flags) else {
            return Ok(());
        };
        let connection = descriptor::inherited(number)?;
        if !may_ask(&connection) {
            return Ok(());
        }
        if let Some(index) = self.table.free() {
            say(&connection, Word::Yes);
            self.listen_to(index, &connection)?;
            self.table.put(index, Entry::Promised(connection));
            return Ok(());
        }
        let held = self.table.count();
        limited!(warn, held, "all places for listeners of system calls are taken");
        say(&connection, Word::No);
        // It may be no runtime, and want no place.
        if let Some(index) = self.table.free_for_refused() {
            self.listen_to(index, &connection)?;
            self.table.put(index, Entry::Refused(connection));
        }
        Ok(())
    }

    fn listen_to(&self, index: usize, connection: &OwnedFd) -> io::Result<()> {
        self.epoll.add(connection, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        Ok(())
    }

    fn hear(&mut self, index: u64) -> io::Result<()> {
        let Ok(index) = usize::try_from(index) else { return Ok(()) };
        let Some(connection) = self.table.connection(index) else { return Ok(()) };
        match hear(connection) {
            None => Ok(()),
            Some(Wish::Hold(listener)) => self.hold(index, listener),
            Some(Wish::End) => {
                self.begin_to_end();
                self.hang_up(index);
                Ok(())
            }
            Some(Wish::Renew) => {
                self.hang_up(index);
                self.renew()
            }
            Some(Wish::Gone | Wish::Nonsense) => {
                self.hang_up(index);
                Ok(())
            }
        }
    }

    /// Holds a listener, and has it answered.
    fn hold(&mut self, index: usize, listener: OwnedFd) -> io::Result<()> {
        let number = LISTENER + index as u64;
        // What nobody can call any more is told without being asked for.
        let watched = || self.epoll.add(&listener, EpollEvent::new(EpollFlags::empty(), number));
        if !self.table.is_promised(index) || watched().is_err() {
            self.hang_up(index);
            return Ok(());
        }
        self.table.hold(index, listener, self.notes);
        if let Some(connection) = self.table.connection(index) {
            let memory = descriptor::borrowed(descriptors::MEMORY)?;
            say_kept(connection, memory, self.life.as_fd());
        }
        self.wake_answerer()?;
        if self.answerer.is_none() { self.start() } else { Ok(()) }
    }

    /// Nobody is left who could call through this listener.
    fn release(&mut self, index: u64) -> io::Result<()> {
        let Ok(index) = usize::try_from(index) else { return Ok(()) };
        if let Some(listener) = self.table.release(index, self.notes) {
            // The answerer has it open too, so closing it would not be enough.
            self.epoll.delete(&listener)?;
        }
        self.wake_answerer()
    }

    fn hang_up(&mut self, index: usize) {
        if let Some(connection) = self.table.hang_up(index) {
            // Closing it is enough: nobody else has it open.
            drop(connection);
        }
    }

    /// Takes nothing new; another holder may begin beside this one.
    fn begin_to_end(&mut self) {
        if let Some((socket, lock)) = self.socket.take() {
            let _another_is_there = fs::remove_file(&self.options.paths.0);
            drop((socket, lock));
        }
    }

    fn wake_answerer(&self) -> io::Result<()> {
        let wake = descriptor::borrowed(descriptors::WAKE)?;
        nix::unistd::write(wake, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    /// Has the version that is installed now answer, beside the daemon of now.
    fn renew(&mut self) -> io::Result<()> {
        match File::open(&self.options.program) {
            Ok(program) => {
                let last = mem::replace(&mut self.program, program.into());
                // One that has never answered is nothing to go back to.
                let is_proved = self.before.is_none() || self.notes.answers.load(SeqCst) == 1;
                self.before = if is_proved { Some(last) } else { self.before.take() };
            }
            Err(error) => {
                let path = self.options.program.display();
                warn!(%error, "{path} cannot be opened; the version before answers on");
            }
        }
        if self.answerer.is_none() {
            return Ok(());
        }
        self.end_answerer();
        self.notes.blame_nobody();
        self.start()
    }

    fn start(&mut self) -> io::Result<()> {
        let fallback = self.failures >= MOST_FAILURES;
        if fallback {
            warn!("no answerer can start; system calls are the kernel's meanwhile");
        }
        let command = if fallback { &self.options.fallback } else { &self.options.answerer };
        self.notes.answers.store(0, SeqCst);
        self.answerer = Some(process::spawn(self.program.as_fd(), command, &SigSet::empty())?);
        self.started_ns = clock::boottime_ns();
        self.patience = Patience::default();
        self.watch()
    }

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = self.signals.read_signal()? {
            match Signal::try_from(signal.ssi_signo.cast_signed())? {
                Signal::SIGCHLD => self.reap()?,
                _terminate_or_interrupt => {
                    info!(held = self.table.count(), "ends when nothing is held any more");
                    self.begin_to_end();
                }
            }
        }
        Ok(())
    }

    fn reap(&mut self) -> io::Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::Stopped(pid, _signal)) => {
                    if self.answerer == Some(pid) {
                        self.end_answerer();
                        self.replace(End::Failed)?;
                    }
                }
                Ok(WaitStatus::Signaled(pid, Signal::SIGKILL, _)) if self.answerer == Some(pid) => {
                    self.notes.blame_nobody();
                    self.replace(End::Killed)?;
                }
                Ok(ended) if ended.pid().is_some() && ended.pid() == self.answerer => {
                    self.replace(End::Failed)?;
                }
                Ok(_earlier) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The answerer is dead, or as good as: another one goes on.
    fn replace(&mut self, end: End) -> io::Result<()> {
        if self.notes.answers.load(SeqCst) == 1 {
            self.answered_ns = clock::boottime_ns();
            self.before = None;
            self.failures = 0;
        } else if !self.is_excused(end) {
            self.count_failure();
        }
        self.notes.takeovers.fetch_add(1, SeqCst);
        self.answerer = None;
        if self.table.is_empty() { Ok(()) } else { self.start() }
    }

    /// Whether nothing follows from an answerer's end before it answered.
    fn is_excused(&self, end: End) -> bool {
        let silent_ns = clock::boottime_ns().saturating_sub(self.answered_ns);
        end == End::Killed && silent_ns < EXCUSED_NS
    }

    /// An answerer did not get as far as to answer.
    fn count_failure(&mut self) {
        // One that leaves everything to the kernel ends by itself, to let a real one try.
        let was_fallback = self.failures >= MOST_FAILURES;
        self.failures = if was_fallback { 0 } else { self.failures + 1 };
        if let Some(before) = self.before.take() {
            warn!("the installed version does not answer system calls; the one before does");
            self.program = before;
            self.failures = 0;
        }
    }

    /// Looks for calls that do not get on; sees to it that the timer runs for as long as
    /// any is being answered, or nobody answers yet.
    fn look_for_hung(&mut self) -> io::Result<()> {
        descriptor::drain(descriptor::borrowed(descriptors::WATCH)?);
        self.notes.watch_armed.store(0, SeqCst);
        let look = self.look();
        match self.patience.look(&look) {
            Verdict::Rests => Ok(()),
            Verdict::Works => self.watch(),
            Verdict::MayHang => {
                self.wake_answerer()?;
                self.watch()
            }
            Verdict::Hangs => {
                warn!("an answerer hangs; it is replaced");
                self.blame_callers();
                self.end_answerer();
                self.replace(End::Failed)
            }
        }
    }

    /// What there is to be seen of the answerer. What one before it had begun is not its own.
    fn look(&self) -> Look {
        let since = self.notes.taken.each_ref().map(|taken| taken.since_ns.load(SeqCst));
        Look {
            calls: since.map(|since| if since > self.started_ns { since } else { 0 }),
            beats: self.notes.beats.load(SeqCst),
            starts: self.answerer.is_some() && self.notes.answers.load(SeqCst) == 0,
        }
    }

    /// Whose memory has kept an answerer waiting would keep the next: its call is left to
    /// the kernel. Other calls are tried once more.
    fn blame_callers(&self) {
        for (taken, hangs) in self.notes.taken.iter().zip(self.patience.hanging()) {
            if hangs {
                // Who hangs over a call has begun to answer.
                self.notes.answers.store(1, SeqCst);
            }
            if hangs && taken.in_memory.load(SeqCst) == 1 {
                taken.give_up();
            }
        }
    }

    /// Sees to it that the timer runs.
    fn watch(&self) -> io::Result<()> {
        if self.notes.watch_armed.swap(1, SeqCst) == 0 {
            timer::arm(descriptor::borrowed(descriptors::WATCH)?, WATCH_INTERVAL)?;
        }
        Ok(())
    }

    fn end_answerer(&mut self) {
        if let Some(answerer) = self.answerer.take() {
            let _dead_already = kill(answerer, Signal::SIGKILL);
            process::ends_within(answerer, DEATH_MS);
        }
    }
}
