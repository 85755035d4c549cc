//! Decisions carried out, one after the other; a refusal at one place is noted
//! and the others go on.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::host::mountinfo::MountTable;
use crate::inject::home::Home;
use crate::inject::place::{self, Replaced};
use crate::inject::plan::{Action, Decision};
use crate::inject::report::{NamespaceReport, Said};

/// A decision, and a copy of the live file if it needs one.
#[derive(Debug)]
pub(crate) struct Prepared {
    decision: Decision,
    live: io::Result<Option<OwnedFd>>,
}

/// What came of a decision.
enum Done {
    Mounted,
    Replaced(Replaced),
    Kept,
    LeftAlone(String),
}

/// Copies the live files that `decisions` need; only at home.
pub(crate) fn prepare(home: &Home, decisions: Vec<Decision>) -> Vec<Prepared> {
    let prepare = |decision: Decision| {
        let live = match &decision.action {
            Action::Mount { source, .. } | Action::Replace { source, .. } => {
                home.copy_of(source).map(Some)
            }
            Action::Keep | Action::LeaveAlone(_) => Ok(None),
        };
        Prepared { decision, live }
    };
    decisions.into_iter().map(prepare).collect()
}

/// Carries out decisions in the namespace that this process is in, whose mounts
/// were `table` when they were made.
pub(crate) fn carry_out(
    home: &Home,
    table: &MountTable,
    prepared: Vec<Prepared>,
) -> NamespaceReport {
    let mut report = NamespaceReport::default();
    for Prepared { decision: Decision { target, action }, live } in prepared {
        match live.and_then(|live| at(home, table, &target, &action, live)) {
            Ok(done) => report.note(target, done),
            Err(error) => report.failed.push(Said { path: target, reason: error.to_string() }),
        }
    }
    report
}

fn at(
    home: &Home,
    table: &MountTable,
    target: &Path,
    action: &Action,
    live: Option<OwnedFd>,
) -> io::Result<Done> {
    match (action, live) {
        (Action::Mount { on, .. }, Some(live)) => {
            let Some(place) = place::find(home, table, target, &[*on])? else {
                return Ok(changed());
            };
            place::attach(home, &live, &place).map(|()| Done::Mounted)
        }
        (Action::Replace { dead, .. }, Some(live)) => {
            let last = place::uncover_last(home, table, target, dead)?;
            let Some(last) = last else { return Ok(changed()) };
            place::replace(home, &live, &last).map(Done::Replaced)
        }
        (Action::LeaveAlone(obstacle), _) => Ok(Done::LeftAlone(obstacle.to_string())),
        (Action::Keep, _) | (_, None) => Ok(Done::Kept),
    }
}

/// The container has put something else at the place meanwhile.
fn changed() -> Done {
    Done::LeftAlone("somebody is changing it".to_owned())
}

impl NamespaceReport {
    fn note(&mut self, path: PathBuf, done: Done) {
        match done {
            Done::Mounted => self.mounted.push(path),
            Done::Replaced(Replaced::Swapped) => self.replaced.push(path),
            Done::Replaced(Replaced::Stacked) => self.stacked.push(path),
            Done::Kept => self.kept.push(path),
            Done::LeftAlone(reason) => self.left_alone.push(Said { path, reason }),
        }
    }
}
