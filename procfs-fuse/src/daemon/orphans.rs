//! What a keeper that was killed leaves behind: workers, each with every
//! descriptor of the session.
//!
//! They are found by what they hold and not by what was written down: the memory
//! says which mount it is for, so a worker that had only begun to start when its
//! keeper was killed is found too. Left alone it would keep the readers of a dead
//! worker waiting for ever.
//!
//! What this module does not do: continue the session ([`adopt`](super::adopt)).

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Pid;

use crate::daemon::mount_point;
use crate::shared::slots::State;
use crate::shared::{Shared, descriptors};
use crate::sys::shared_memory;

/// The workers of a mount that has no keeper.
#[derive(Debug)]
pub struct Orphans {
    /// The memory of the session.
    pub shared: &'static Shared,
    /// The processes that hold it; one at least.
    pub pids: Vec<Pid>,
}

impl Orphans {
    /// Those of the tree that is mounted at `mount_point`; `None` when there are
    /// none. Where there is a keeper it is among them: ask only when the lock is
    /// free, or held by the caller.
    pub fn of(mount_point: &Path) -> Option<Self> {
        let device = mount_point::device(mount_point).ok()??;
        let holders: Vec<Holder> = fs::read_dir("/proc").ok()?.filter_map(holder).collect();
        let of_this = |holder: &Holder| {
            let shared = shared_memory::map(holder.memory.as_fd()).ok()?;
            shared.header.is_of(device).then_some((shared, holder.inode))
        };
        let (shared, inode) = holders.iter().find_map(of_this)?;
        let of_same = holders.iter().filter(|holder| holder.inode == inode);
        Some(Self { shared, pids: of_same.map(|holder| holder.pid).collect() })
    }

    /// The one that answers; `None` when none does.
    pub fn worker(&self) -> Option<Pid> {
        let serving = self.shared.banks.iter().find(|bank| bank.state() == State::Serving)?;
        let pid =
            Pid::from_raw(serving.pid.load(std::sync::atomic::Ordering::SeqCst).cast_signed());
        self.pids.contains(&pid).then_some(pid)
    }
}

/// A process with a memory of ours.
struct Holder {
    pid: Pid,
    memory: File,
    inode: u64,
}

fn holder(entry: std::io::Result<fs::DirEntry>) -> Option<Holder> {
    let entry = entry.ok()?;
    let pid = entry.file_name().to_str()?.parse().ok()?;
    let path = entry.path().join("fd").join(descriptors::MEMORY.to_string());
    let ours = format!("/memfd:{} (deleted)", shared_memory::NAME);
    if fs::read_link(&path).ok()? != Path::new(&ours) {
        return None;
    }
    let memory = File::options().read(true).write(true).open(&path).ok()?;
    let inode = memory.metadata().ok()?.ino();
    Some(Holder { pid: Pid::from_raw(pid), memory, inode })
}
