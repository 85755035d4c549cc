//! `porthole exec`.

use std::env;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::{Answer, holder, preflight};
use crate::cgroup::ContainerCgroup;
use crate::cli::options::ExecOptions;
use crate::cli::run::{Inside, process};
use crate::console::{Forwarded, Ours, Relay, attached, own_size};
use crate::container::watch::exit_code;
use crate::container::{State, StateError, Store};
use crate::message::{Failure, tell};
use crate::process::{Launched, Note, Stdio, Target, enter, own_program};
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
    relay.until(command.as_fd(), &mut |which| match signal::send(command.as_fd(), which) {
        Err(Errno::ESRCH) => Ok(()),
        other => Ok(other.map_err(io::Error::from)?),
    })?;
    relay.finish()?;
    Ok(exit_code(&command)?)
}

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
