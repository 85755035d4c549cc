//! The process that looks after one container from its beginning to its end.
//!
//! It has one thread and waits in one place, [`Watch::until_ended`]. It ends
//! when its container has. When it is killed, the kernel kills the container's
//! first process, and with that all others; [`collect`] clears up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use super::collect;
use super::identity::Identity;
use super::output::Output;
use super::recorder::Recorder;
use super::report::{Channel, Report};
use super::state::{State, Status};
use super::store::{Lock, Store};
use super::watch::Watch;
use crate::cgroup::ContainerCgroup;
use crate::console::Ours;
use crate::message::Failure;
use crate::process::{Launched, Note, Place, Stdio, launch};
use crate::sys::close::close_all_but;
use crate::sys::fork;

/// What a monitor is given.
#[derive(Debug)]
pub struct Charge {
    /// Where state is kept.
    pub store: Store,
    /// The container, as it was reserved.
    pub state: State,
    /// The right to look after it.
    pub owner: Lock,
    /// A place for its listener, where system calls are to be answered.
    pub place: Option<Place>,
    /// What the container gets as standard input, output and error.
    pub stdio: Stdio,
    /// The other ends: the monitor's in the background, else the command's.
    pub ours: Ours,
}

/// Starts the monitor of a container. It reports on the channel, and takes orders
/// there; a container whose output is recorded goes on when the channel closes.
///
/// # Errors
///
/// When the machine has no room for another process.
pub fn start(mut charge: Charge) -> io::Result<(Channel, Ours)> {
    let (channel, theirs) = Channel::pair()?;
    match fork::fork()? {
        ForkResult::Parent { child: _ } => {
            let ours = if charge.state.recorded { Ours::default() } else { charge.ours };
            Ok((channel, ours))
        }
        ForkResult::Child => {
            drop(channel);
            if !charge.state.recorded {
                charge.ours = Ours::default();
            }
            look_after(charge, &theirs);
            process::exit(0)
        }
    }
}

/// What a monitor does.
fn look_after(charge: Charge, channel: &Channel) {
    let Charge { store, state, owner, place, stdio, ours } = charge;
    let cgroup = ContainerCgroup::of(&state.plan.id);
    let kept = [Some(owner.as_fd()), place.as_ref().map(|place| place.reservation.as_fd())]
        .into_iter()
        .flatten();
    let left = leave_command(&stdio, &ours, channel, kept);
    let mut container = Container { store, state, cgroup, place };
    let lived = left.map_err(Failure::from).and_then(|()| container.live(stdio, ours, channel));
    let report = container.clear_up(lived);
    // The lock goes first: who hears of the end finds the name free.
    drop(owner);
    // A command that is gone hears nothing.
    let _ = channel.send(&report, None);
}

/// Leaves the session, folder and descriptors of the command that started us.
fn leave_command<'a>(
    stdio: &'a Stdio,
    ours: &'a Ours,
    channel: &'a Channel,
    others: impl Iterator<Item = BorrowedFd<'a>>,
) -> io::Result<()> {
    setsid()?;
    chdir("/")?;
    let mut kept = vec![channel.as_fd()];
    kept.extend(others);
    kept.extend(ours.descriptors());
    if let Stdio::Inherit { stdin, stdout, stderr } = stdio {
        kept.extend([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
    }
    close_all_but(&kept)?;
    // Whoever reads the command's output would else wait for our end, too.
    let null = open("/dev/null", OFlag::O_RDWR, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// A container and where it is noted.
struct Container {
    store: Store,
    state: State,
    cgroup: ContainerCgroup,
    place: Option<Place>,
}

impl Container {
    /// Makes the container and watches it to its end: the exit code of its command.
    fn live(&mut self, stdio: Stdio, mut ours: Ours, channel: &Channel) -> Result<u8, Failure> {
        let warnings = self.cgroup.create(&self.state.plan.resources)?;
        let cgroup = &self.cgroup;
        let mut gate = |pid| cgroup.join(pid).map_err(Into::into);
        let mut launched = launch(&self.state.plan, self.place.as_ref(), stdio, &mut gate)?;
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        warnings.extend(launched.notes.drain(..).filter_map(as_warning));
        self.note_running(&launched)?;

        let recorder = self.recorder(&mut ours, &mut launched)?;
        let terminal = launched.terminal.take();
        // The terminal is the command's alone from here on.
        let _ = channel.send(&Report::Started { warnings }, terminal.as_ref().map(AsFd::as_fd));
        drop(terminal);
        // Its listener is held; the place is no promise any more.
        self.place = None;
        let watch = Watch::new(launched.pidfd, channel, recorder, launched.standby)?;
        Ok(watch.until_ended()?)
    }

    fn note_running(&mut self, launched: &Launched) -> Result<(), Failure> {
        // Ours to wait for, so it is there even when it has already ended.
        if let Some(init) = Identity::of(launched.pid) {
            self.state.status = Status::Running { init };
        }
        Ok(self.store.write(&self.state)?)
    }

    /// What records the output of a container in the background.
    fn recorder(
        &self,
        ours: &mut Ours,
        launched: &mut Launched,
    ) -> Result<Option<Recorder>, Failure> {
        if !self.state.recorded {
            return Ok(None);
        }
        let output = Output::create(&self.store.output_path(&self.state.plan.id))?;
        let sources = [ours.stdout.take(), ours.stderr.take(), launched.terminal.take()];
        Ok(Some(Recorder::new(output, sources.into_iter().flatten().collect())?))
    }

    /// Removes what a container that has `lived` leaves, and says how it ended.
    fn clear_up(self, lived: Result<u8, Failure>) -> Report {
        let mut warnings = Vec::new();
        if let Err(error) = self.cgroup.remove() {
            warnings.push(Failure::from(error).line);
        }
        let code = lived.as_ref().copied().ok();
        if let Err(error) = self.note_ended(code) {
            warnings.push(Failure::from(error).line);
        }
        match lived {
            Ok(code) => Report::Ended { code, warnings },
            Err(Failure { line, code }) => Report::Failed { message: line, code },
        }
    }

    /// A container that never ran is forgotten, and so is one not to be kept.
    fn note_ended(self, code: Option<u8>) -> Result<(), super::StateError> {
        let _names = self.store.lock()?;
        let id = &self.state.plan.id;
        match code {
            Some(code) if self.state.keep => {
                // Its limits may have been changed since it was made.
                let state = self.store.read(id).unwrap_or_else(|_unreadable| self.state.clone());
                collect::ended(&self.store, state, code)
            }
            _ => self.store.remove(id),
        }
    }
}

fn as_warning(note: Note) -> Option<String> {
    match note {
        Note::Fallback(line) => Some(line),
        Note::LeftOut(_) => None,
    }
}
