//! The keeper's children: starting, promoting, burying.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::SeqCst;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, Pid};

use crate::keeper::{Keeper, report, signals};
use crate::shared::header::WATCH_INTERVAL;
use crate::shared::slots::{Bank, MOST_STUCK, State};
use crate::shared::{UNMOUNTED, descriptors};
use crate::sys::{clock, process, timer};

/// How long a request may take before its worker counts as hung: 1 second. An
/// answer takes microseconds, a slow cgroup milliseconds.
const HUNG_AFTER_NS: u64 = 1_000_000_000;

/// How long a killed worker is waited for before its successor begins without
/// its end: long enough for anything but uninterruptible sleep.
const DEATH_MS: u16 = 50;

/// How long unmounting may take before the keeper stops without it.
const UNMOUNT_MS: u16 = 10_000;

impl Keeper {
    /// Starts a worker, unless one is on its way or all banks are taken.
    pub(super) fn start(&mut self, program: BorrowedFd<'_>, fallback: bool) -> io::Result<()> {
        if self.find(State::Starting).is_some() && !fallback {
            return Ok(());
        }
        let Some(index) = self.find(State::Free) else { return self.no_bank() };
        let too_many = self.stuck() >= MOST_STUCK;
        let fallback = fallback || too_many;
        self.retry |= too_many;
        self.started_ns = clock::boottime_ns();
        let Some(bank) = self.shared.banks.get(index) else { return Ok(()) };
        bank.claim(report::count(&self.shared.header.generation));
        let commands = if fallback { &self.plan.fallbacks } else { &self.plan.workers };
        let Some(command) = commands.get(index) else { return Ok(()) };
        let pid = process::spawn(program, command, &SigSet::empty())?;
        bank.pid.store(pid.as_raw().cast_unsigned(), SeqCst);
        if fallback {
            self.fallback = Some(index);
        }
        Ok(())
    }

    /// A worker could not be started a while ago, or no real one: tries again.
    pub(super) fn try_again(&mut self) -> io::Result<()> {
        let serves = self.find(State::Serving).is_some();
        if serves && self.stuck() >= MOST_STUCK {
            return Ok(());
        }
        self.start(self.program.as_fd().try_clone_to_owned()?.as_fd(), !serves)
    }

    /// Lets a ready worker serve, in the place of the one that serves now.
    pub(super) fn adopt_ready(&mut self) -> io::Result<()> {
        let Some(ready) = self.find(State::Ready) else {
            return match self.find(State::Serving) {
                Some(_serving) => Ok(()),
                None => self.start(self.program.as_fd().try_clone_to_owned()?.as_fd(), false),
            };
        };
        if let Some(serving) = self.find(State::Serving) {
            self.end(serving);
        }
        let Some(bank) = self.shared.banks.get(ready) else { return Ok(()) };
        bank.set_state(State::Serving);
        wake(ready);
        if self.fallback != Some(ready) {
            self.fallback = None;
            self.retry = false;
        }
        self.publish();
        self.announce()?;
        self.finish_upgrade()
    }

    /// Buries dead children and replaces stopped ones; true when one of them says
    /// that the file system was unmounted.
    pub(super) fn reap(&mut self) -> io::Result<bool> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(false),
                Ok(WaitStatus::Exited(_pid, UNMOUNTED)) => return Ok(true),
                Ok(WaitStatus::Stopped(pid, _signal)) => self.replace_hung(pid)?,
                Ok(WaitStatus::Exited(pid, code)) => self.bury(pid, code << 8, false)?,
                Ok(WaitStatus::Signaled(pid, signal, _dumped)) => {
                    self.bury(pid, signal as i32, signal == Signal::SIGKILL)?;
                }
                Ok(_traced) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Looks for requests that take too long; sees to it that the timer runs for
    /// as long as any is in flight.
    pub(super) fn look_for_hung(&mut self) -> io::Result<()> {
        let armed = &self.shared.header.watch_armed;
        armed.store(0, SeqCst);
        let Some(bank) = self.find(State::Serving).and_then(|index| self.shared.banks.get(index))
        else {
            return Ok(());
        };
        let now = clock::boottime_ns();
        let (mut busy, mut hung) = (false, false);
        // Slots of dead workers are busy while the one that serves answers them. Those of a free
        // bank may never have been used, and looking would bring their pages into being.
        let banks = self.shared.banks.iter().filter(|bank| bank.state() != State::Free);
        for slot in banks.flat_map(|bank| &bank.slots) {
            let since = slot.busy_since.load(SeqCst);
            busy |= since != 0;
            if since != 0 && now.saturating_sub(since) > HUNG_AFTER_NS {
                slot.blame.fetch_add(1, SeqCst);
                hung = true;
            }
        }
        if hung {
            return self.replace_hung(pid_of(bank));
        }
        if busy && armed.swap(1, SeqCst) == 0 {
            timer::arm(self.watch.as_fd(), WATCH_INTERVAL)?;
        }
        Ok(())
    }

    /// Ends every child, at the end.
    pub(super) fn kill_all(&self) {
        if self.stuck() > 0 {
            self.abort();
        }
        if let Some(healer) = self.healer {
            let _dead_already = kill(healer, Signal::SIGKILL);
        }
        for (index, bank) in self.shared.banks.iter().enumerate() {
            if bank.state() != State::Free {
                self.end(index);
            }
        }
    }

    /// Has a child unmount, so that no path is looked up here. Whoever asks to stop once
    /// more, or asks the whole process group, does not end it.
    pub(super) fn unmount(&mut self) -> io::Result<()> {
        let child = process::spawn(self.program.as_fd(), &self.plan.unmount, &signals())?;
        process::ends_within(child, UNMOUNT_MS);
        Ok(())
    }

    pub(super) fn find(&self, state: State) -> Option<usize> {
        self.shared.banks.iter().position(|bank| bank.state() == state)
    }

    fn bank_of(&self, pid: Pid) -> Option<usize> {
        let of = |bank: &Bank| bank.state() != State::Free && pid_of(bank) == pid;
        self.shared.banks.iter().position(of)
    }

    /// A worker is dead: its requests are for the successor.
    fn bury(&mut self, pid: Pid, end: i32, killed: bool) -> io::Result<()> {
        if self.healer == Some(pid) {
            self.healer = None;
        }
        let Some(index) = self.bank_of(pid) else { return Ok(()) };
        let Some(bank) = self.shared.banks.get(index) else { return Ok(()) };
        let fallback = self.fallback == Some(index);
        if fallback {
            self.fallback = None;
        }
        match bank.state() {
            State::Starting | State::Ready => {
                bank.set_state(State::Free);
                self.retry = !killed;
                if fallback { Ok(()) } else { self.did_not_start(killed) }
            }
            State::Serving => {
                bank.lose(true);
                self.shared.header.last_end.store(end.cast_unsigned(), SeqCst);
                report::count(&self.shared.header.takeovers);
                self.adopt_ready()
            }
            State::Hung => {
                bank.lose(true);
                if let Some(serving) = self.find(State::Serving) {
                    wake(serving);
                }
                Ok(())
            }
            State::Lost | State::Free => Ok(()),
        }
    }

    /// A worker died before it could serve. Somebody else's SIGKILL says nothing
    /// about the program; anything else does.
    pub(super) fn did_not_start(&mut self, killed: bool) -> io::Result<()> {
        if self.next_program.is_some() {
            self.refuse_upgrade();
        }
        if self.find(State::Serving).is_some() {
            return Ok(());
        }
        let program = self.program.as_fd().try_clone_to_owned()?;
        if killed {
            return self.start(program.as_fd(), false);
        }
        report::log("no worker can start; the host's files are served meanwhile");
        self.start(program.as_fd(), true)
    }

    fn replace_hung(&mut self, pid: Pid) -> io::Result<()> {
        let Some(index) = self.bank_of(pid) else { return Ok(()) };
        let Some(bank) = self.shared.banks.get(index) else { return Ok(()) };
        let was = bank.state();
        report::log("a worker hangs; it is replaced");
        self.end(index);
        if was != State::Serving {
            return Ok(());
        }
        self.shared.header.last_end.store(libc::SIGSTOP.cast_unsigned(), SeqCst);
        report::count(&self.shared.header.takeovers);
        self.adopt_ready()
    }

    /// Kills the worker of a bank, and goes on without it when it does not die.
    pub(super) fn end(&self, index: usize) {
        let Some(bank) = self.shared.banks.get(index) else { return };
        let pid = pid_of(bank);
        // Until `reap` has buried it the pid is its own, dead or not.
        let _dead_already = kill(pid, Signal::SIGKILL);
        bank.lose(process::ends_within(pid, DEATH_MS));
    }
}

fn pid_of(bank: &Bank) -> Pid {
    Pid::from_raw(bank.pid.load(SeqCst).cast_signed())
}

/// Tells the worker of bank `index` to look at the states.
fn wake(index: usize) {
    let Some(number) = descriptors::WORKER_WAKE.get(index) else { return };
    if let Ok(wake) = crate::sys::descriptor::borrowed(*number) {
        // A counter that is full has woken the worker already.
        let _full = unistd::write(wake, &1_u64.to_ne_bytes());
    }
}
