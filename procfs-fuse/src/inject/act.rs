//! Decisions carried out, one after the other; a refusal at one place is noted
//! and the others go on.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::host::mountinfo::MountTable;
use crate::inject::home::Home;
use crate::inject::place::{self, Replaced};
use crate::inject::plan::{Action, Decision, Obstacle, Source};
use crate::inject::report::{NamespaceReport, Said};

/// The live files that decisions need. The daemon is asked once for each, and
/// not once for each container.
#[derive(Debug)]
pub(crate) struct LiveFiles(HashMap<Source, nix::Result<OwnedFd>>);

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
    /// Another mount of ours is seen now.
    Uncovered,
    Kept,
    LeftAlone(String),
    /// Something else is there than when it was decided.
    Changing,
}

impl LiveFiles {
    /// Opens what `decisions` need; only at home.
    pub(crate) fn open<'a>(home: &Home, decisions: impl Iterator<Item = &'a Decision>) -> Self {
        let mut files = HashMap::new();
        for source in decisions.filter_map(|decision| decision.action.source()) {
            files.entry(source.clone()).or_insert_with(|| match source {
                Source::Tree(path) => home.live(path),
                Source::Kernel(path) => open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()),
            });
        }
        Self(files)
    }

    /// A mount of `source` that is attached nowhere yet, with all restrictions
    /// of the live mount.
    fn copy(&self, source: &Source) -> io::Result<OwnedFd> {
        let file = self.0.get(source).ok_or(Errno::ENOENT)?;
        let file = file.as_ref().map_err(|errno| *errno)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(open_tree(file, "", flags)?)
    }
}

/// Copies the live files that `decisions` need; only at home.
pub(crate) fn prepare(files: &LiveFiles, decisions: &[Decision]) -> Vec<Prepared> {
    decisions.iter().map(|decision| prepare_one(files, decision.clone())).collect()
}

fn prepare_one(files: &LiveFiles, decision: Decision) -> Prepared {
    let Some(source) = decision.action.source() else {
        return Prepared { decision, live: Ok(None) };
    };
    match files.copy(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let action = Action::LeaveAlone(Obstacle::NotServed);
            Prepared { decision: Decision { action, ..decision }, live: Ok(None) }
        }
        live => Prepared { decision, live: live.map(Some) },
    }
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
    if let Action::Uncover { dead, .. } = action
        && place::take_off(home, table, target, *dead)?
    {
        return Ok(Done::Uncovered);
    }
    let place = match action {
        Action::Uncover { dead, .. } => place::find(home, table, target, &[*dead]),
        Action::Mount { on, .. } => place::find(home, table, target, &[*on]),
        Action::Replace { dead, .. } => place::uncover_last(home, table, target, dead),
        Action::LeaveAlone(obstacle) => return Ok(Done::LeftAlone(obstacle.to_string())),
        Action::Keep => return Ok(Done::Kept),
    };
    match (place, live) {
        (Ok(Some(place)), Some(live)) if matches!(action, Action::Mount { .. }) => {
            place::attach(home, &live, &place).map(|()| Done::Mounted)
        }
        (Ok(Some(place)), Some(live)) => place::replace(home, &live, &place).map(Done::Replaced),
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Done::LeftAlone("the kernel has no such file".to_owned()))
        }
        (Err(error), _) => Err(error),
        (Ok(_), _) => Ok(Done::Changing),
    }
}

impl NamespaceReport {
    fn note(&mut self, path: PathBuf, done: Done) {
        match done {
            Done::Mounted => self.mounted.push(path),
            Done::Replaced(Replaced::Swapped) => self.replaced.push(path),
            Done::Replaced(Replaced::Stacked) => self.stacked.push(path),
            Done::Uncovered => self.is_unsettled = true,
            Done::Kept => self.kept.push(path),
            Done::LeftAlone(reason) => self.left_alone.push(Said { path, reason }),
            Done::Changing => {
                self.is_unsettled = true;
                let reason = "somebody is changing it".to_owned();
                self.left_alone.push(Said { path, reason });
            }
        }
    }
}
