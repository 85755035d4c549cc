//! Those whose files are compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use support::lxcfs::Lxcfs;
use support::{Daemon, process};

use crate::floor::Floor;

/// The kernel's own file.
pub(crate) const KERNEL: &str = "kernel";
/// A null answer by FUSE.
pub(crate) const FLOOR: &str = "floor";
/// Debian's lxcfs.
pub(crate) const LXCFS: &str = "lxcfs";
/// The shared tree of portholefs.
pub(crate) const OURS: &str = "portholefs";
/// A private tree of it.
pub(crate) const PRIVATE: &str = "private";
/// The same of another revision.
pub(crate) const AGAINST: &str = "against";

/// Somebody who serves the files.
#[derive(Debug)]
pub(crate) struct Rival {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What `proc/meminfo` is below.
    pub(crate) root: Root,
    /// Its processes, whose CPU time a read costs too.
    pub(crate) pids: Vec<Pid>,
}

/// Where files are.
#[derive(Debug)]
pub(crate) enum Root {
    /// In a folder.
    Path(PathBuf),
    /// In a tree that each reader asks for at this socket.
    Private(PathBuf),
}

/// All that serve, while this value lives.
#[derive(Debug)]
pub(crate) struct Rivals {
    all: Vec<Rival>,
    daemons: Vec<Daemon>,
    /// What others than we have made.
    _others: Option<(Floor, Lxcfs)>,
}

impl Rivals {
    /// Starts all that can be started.
    pub(crate) fn start() -> Result<Self> {
        let ours = Daemon::start()?;
        let lxcfs = Lxcfs::start()?;
        let floor = Floor::start()?;
        let all = vec![
            Rival::at("/", KERNEL, Vec::new()),
            Rival::at(floor.mount_point(), FLOOR, vec![floor.pid()]),
            Rival::at(lxcfs.mount_point(), LXCFS, vec![lxcfs.pid()]),
            Rival::at(ours.mount_point(), OURS, processes(ours.pid())?),
            Rival {
                name: PRIVATE,
                root: Root::Private(ours.mount_point().with_file_name(".fs.sock")),
                pids: processes(ours.pid())?,
            },
        ];
        Ok(Self { all, daemons: vec![ours], _others: Some((floor, lxcfs)) })
    }

    /// Starts ours and the `portholefs` of another revision, and nobody else.
    pub(crate) fn of_revisions(against: &Path) -> Result<Self> {
        let ours = Daemon::start()?;
        let other = Daemon::start_by(Command::new(against))?;
        let root = other.mount_point();
        let other = other.served_at(&root)?;
        let all = vec![
            Rival::at(ours.mount_point(), OURS, processes(ours.pid())?),
            Rival::at(root, AGAINST, processes(other.pid())?),
        ];
        Ok(Self { all, daemons: vec![ours, other], _others: None })
    }

    /// The one with this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Rival> {
        let found = self.all.iter().find(|rival| rival.name == name);
        found.with_context(|| format!("{name} was not started"))
    }

    /// In the order in which they read in turns.
    pub(crate) fn all(&self) -> &[Rival] {
        &self.all
    }

    /// Stops what was started.
    pub(crate) fn stop(self) -> Result<()> {
        self.daemons.into_iter().try_for_each(Daemon::stop)
    }
}

impl Rival {
    fn at(root: impl Into<PathBuf>, name: &'static str, pids: Vec<Pid>) -> Self {
        Self { name, root: Root::Path(root.into()), pids }
    }
}

/// The daemon that was started, and all that it has started: the keeper answers
/// nothing, its worker does.
pub(crate) fn processes(started: Pid) -> Result<Vec<Pid>> {
    Ok(std::iter::once(started).chain(process::descendants(started)?).collect())
}
