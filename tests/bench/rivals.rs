//! Those whose files are compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
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
    lxcfs: Lxcfs,
    floor: Floor,
}

impl Rivals {
    /// Starts all that can be started, and the `portholefs` of another revision too when
    /// there is one.
    pub(crate) fn start(against: Option<&Path>) -> Result<Self> {
        let ours = Daemon::start()?;
        let lxcfs = Lxcfs::start()?;
        let floor = Floor::start()?;
        let mut all = vec![
            Rival::at("/", KERNEL, Vec::new()),
            Rival::at(floor.mount_point(), FLOOR, vec![floor.pid()]),
            Rival::at(lxcfs.mount_point(), LXCFS, vec![lxcfs.pid()]),
            Rival::at(ours.mount_point(), OURS, processes(ours.pid())?),
        ];
        let socket = ours.mount_point().with_file_name(".fs.sock");
        if socket.exists() {
            let root = Root::Private(socket);
            all.push(Rival { name: PRIVATE, root, pids: processes(ours.pid())? });
        }
        let mut daemons = vec![ours];
        if let Some(program) = against {
            let daemon = Daemon::start_by(Command::new(program))?;
            let root = daemon.mount_point();
            let daemon = daemon.served_at(&root)?;
            all.push(Rival::at(root, AGAINST, processes(daemon.pid())?));
            daemons.push(daemon);
        }
        Ok(Self { all, daemons, lxcfs, floor })
    }

    /// In the order in which they read in turns.
    pub(crate) fn all(&self) -> &[Rival] {
        &self.all
    }

    /// Stops what was started.
    pub(crate) fn stop(self) -> Result<()> {
        drop((self.floor, self.lxcfs));
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
