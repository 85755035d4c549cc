//! `porthole run`.

use std::path::Path;

use super::{Answer, attend, clear_up, daemon, holder, preflight, surroundings};
use crate::cli::options::RunOptions;
use crate::cli::run::{Request, request};
use crate::console::{Forwarded, Ours, attached, detached, own_size};
use crate::container::Store;
use crate::container::collect::now_unix_ns;
use crate::container::monitor::{self, Charge};
use crate::container::report::{Channel, Report};
use crate::container::state::{State, Status, VERSION};
use crate::message::{Failure, answer, tell};
use crate::plan::View;
use crate::process::{Stdio, own_program};

/// Runs a command in a new container.
pub(super) fn run(options: &RunOptions, state_dir: &Path) -> Answer {
    let request = request(options, &surroundings::read()?)?;
    preflight::check(&request)?;
    own_program::make_read_only()?;
    let store = Store::open(state_dir)?;
    clear_up(&store)?;
    if let View::Mounted(mount_point) = &request.plan.view {
        daemon::ensure(mount_point, state_dir)?;
    }
    // Before anything is made: a signal that comes meanwhile is kept, not obeyed.
    let signals = Forwarded::take()?;
    let charge = charge(&request, &store)?;
    let (channel, ours) = monitor::start(charge)?;
    if request.detach {
        return started(&request, &channel);
    }
    attend::attend(&request, &store, &channel, signals, ours)
}

/// Reserves the container's name and opens its streams.
fn charge(request: &Request, store: &Store) -> Result<Charge, Failure> {
    let (stdio, ours) = streams(request)?;
    let state = State {
        version: VERSION,
        name: request.name.clone(),
        created_unix_ns: now_unix_ns(),
        keep: request.keep,
        recorded: request.detach,
        status: Status::Created,
        plan: request.plan.clone(),
    };
    let owner = store.reserve(&state)?;
    let place = holder::reserve(&state.plan);
    Ok(Charge { store: store.clone(), state, owner, place, stdio, ours })
}

fn streams(request: &Request) -> Result<(Stdio, Ours), Failure> {
    Ok(match (request.plan.process.terminal, request.detach) {
        (true, _) => (Stdio::Terminal(own_size()), Ours::default()),
        (false, true) => detached(request.interactive)?,
        (false, false) => attached(request.interactive)?,
    })
}

/// Waits until a container in the background runs.
fn started(request: &Request, channel: &Channel) -> Answer {
    match channel.receive()? {
        Some((Report::Started { warnings }, _)) => {
            warnings.iter().for_each(|line| tell(line));
            answer(&format!("{}\n", request.plan.id))?;
            Ok(0)
        }
        Some((Report::Failed { message, code }, _)) => Err(Failure { line: message, code }),
        Some((Report::Ended { code, .. }, _)) => Ok(code),
        None => Err(Failure::of(
            "the monitor of the container was killed before it had started it",
            "look for what killed it: dmesg | tail",
        )),
    }
}
