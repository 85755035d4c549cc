//! `porthole exec`.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Answer, holder, preflight};
use crate::cgroup::ContainerCgroup;
use crate::cli::options::ExecOptions;
use crate::cli::run::{Inside, process};
use crate::console::{Forward, Forwarded, Ours, Relay, attached, own_size};
use crate::container::watch::exit_code;
use crate::container::{State, StateError, Store};
use crate::message::{Failure, tell};
use crate::process::{Launched, Note, Standby, Stdio, Target, enter, own_program};
use crate::sys::signal;

/// Runs a command beside the one of a running container.
///
/// The command ends when this process is killed; there is no monitor for it.
pub(super) fn exec(options: &ExecOptions, store: &Store) -> Answer {
    preflight::root_user()?;
    own_program::make_read_only()?;
    let (terminal, interactive) = (options.process.tty, options.process.interactive);
    preflight::terminal(terminal, interactive)?;
    let state = store.find(&options.container)?;
    let target = Target { init: super::kill::open(&state)? };
    let signals = Forwarded::take()?;
    let (stdio, ours) = if terminal {
        (Stdio::Terminal(own_size()), Ours::default())
    } else {
        attached(interactive)?
    };
    let mut launched = start(options, &state, &target, stdio)?;
    tell_notes(&launched.notes);
    let mut relay = Relay::new(signals, ours)?;
    if let Some(terminal) = launched.terminal.take() {
        relay.show(terminal, interactive)?;
    }
    let command = launched.pidfd;
    let mut forward = |which| match signal::send(command.as_fd(), which) {
        Err(Errno::ESRCH) => Ok(()),
        other => Ok(other.map_err(io::Error::from)?),
    };
    until_ended(&mut relay, command.as_fd(), launched.standby, &mut forward)?;
    relay.finish()?;
    Ok(exit_code(&command)?)
}

/// Relays until the `command` has ended, and does what `standby` has to meanwhile.
fn until_ended(
    relay: &mut Relay,
    command: BorrowedFd<'_>,
    standby: Option<Standby>,
    forward: Forward<'_>,
) -> Result<(), Failure> {
    let Some(mut standby) = standby else { return Ok(relay.until(command, forward)?) };
    let either = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?;
    let readable = |number| EpollEvent::new(EpollFlags::EPOLLIN, number);
    either.add(command, readable(COMMAND)).map_err(io::Error::from)?;
    either.add(&standby, readable(STANDBY)).map_err(io::Error::from)?;
    loop {
        relay.until(either.0.as_fd(), forward)?;
        let mut happened = [EpollEvent::empty(); 2];
        let count = either.wait(&mut happened, EpollTimeout::ZERO).map_err(io::Error::from)?;
        if happened.iter().take(count).any(|event| event.data() == COMMAND) {
            return Ok(());
        }
        standby.step().map_err(io::Error::from)?;
    }
}

/// What is waited for beside the terminal.
const COMMAND: u64 = 0;
const STANDBY: u64 = 1;

fn start(
    options: &ExecOptions,
    state: &State,
    target: &Target,
    stdio: Stdio,
) -> Result<Launched, Failure> {
    let hostname = state.plan.hostname.as_str();
    let inside = Inside { hostname: Some(hostname), init: false };
    let inherited = |name: &str| env::var(name).ok();
    let process = process(&options.process, &options.command, &inside, &inherited)?;
    let cgroup = ContainerCgroup::of(&state.plan.id);
    let mut gate = |pid| cgroup.join(pid).map_err(Into::into);
    let place = holder::reserve(&state.plan);
    match enter(target, &state.plan, &process, place.as_ref(), stdio, &mut gate) {
        // It ended while we were on our way in.
        Err(_) if super::kill::open(state).is_err() => {
            Err(StateError::NotRunning { reference: options.container.clone() }.into())
        }
        other => Ok(other?),
    }
}

fn tell_notes(notes: &[Note]) {
    for note in notes {
        if let Note::Fallback(line) = note {
            tell(line);
        }
    }
}
