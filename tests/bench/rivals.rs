//! The four whose files are compared.

use std::path::PathBuf;

use anyhow::Result;
use nix::unistd::Pid;
use support::lxcfs::Lxcfs;
use support::{Daemon, process};

use crate::floor::Floor;

/// Somebody who serves the files.
#[derive(Debug)]
pub(crate) struct Rival {
    /// The folder that `proc/meminfo` is below.
    pub(crate) root: PathBuf,
    /// Its processes, whose CPU time a read costs too.
    pub(crate) pids: Vec<Pid>,
}

/// The kernel, the floor, lxcfs and portholefs.
#[derive(Debug)]
pub(crate) struct Rivals {
    all: [Rival; 4],
    ours: Daemon,
    lxcfs: Lxcfs,
    floor: Floor,
}

impl Rivals {
    /// Starts all that can be started.
    pub(crate) fn start() -> Result<Self> {
        let ours = Daemon::start()?;
        let lxcfs = Lxcfs::start()?;
        let floor = Floor::start()?;
        let all = [
            Rival { root: "/".into(), pids: Vec::new() },
            Rival { root: floor.mount_point(), pids: vec![floor.pid()] },
            Rival { root: lxcfs.mount_point(), pids: vec![lxcfs.pid()] },
            Rival { root: ours.mount_point(), pids: processes(ours.pid())? },
        ];
        Ok(Self { all, ours, lxcfs, floor })
    }

    /// In the order in which they are printed.
    pub(crate) fn all(&self) -> &[Rival; 4] {
        &self.all
    }

    /// Stops what was started.
    pub(crate) fn stop(self) -> Result<()> {
        drop((self.floor, self.lxcfs));
        self.ours.stop()
    }
}

/// The daemon that was started, and all that it has started: the keeper answers
/// nothing, its worker does.
fn processes(started: Pid) -> Result<Vec<Pid>> {
    Ok(std::iter::once(started).chain(process::descendants(started)?).collect())
}
