//! A session that the service manager kept while none of its processes was left.
//!
//! The kernel ends a session with its last descriptor, and what is mounted is dead.
//! So the manager gets a copy of each, and of the memory in which workers left what
//! they had read; the next daemon answers it, and readers have waited.
//!
//! What this module does not do: continue workers that are alive
//! ([`adopt`]).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use tracing::{info, warn};

use crate::daemon::{adopt, mount_point, service_manager};
use crate::shared::descriptors;
use crate::shared::descriptors::STORED;
use crate::sys::{descriptor, shared_memory};

/// What the manager has kept for this start.
#[derive(Debug)]
pub struct Stored(HashMap<String, OwnedFd>);

impl Stored {
    /// Takes it, and closes what else this process was started with; see
    /// [`service_manager::kept`].
    pub fn take() -> Self {
        Self(service_manager::kept())
    }

    /// Leaves the session that is mounted at `path` for the keeper; false when it
    /// was not kept. Then what was kept is of no use, and closed.
    pub fn leave_for_keeper(self, path: &Path) -> bool {
        let found = self.0.len();
        if found == 0 {
            return false;
        }
        match self.place(path) {
            Ok(()) => {
                info!(descriptors = found, "continuing the session that the service manager kept");
                true
            }
            Err(error) => {
                warn!(%error, "cannot continue the session that was kept; mounting anew");
                descriptor::close(descriptors::of_workers());
                if let Err(error) = forget() {
                    warn!(%error, "the service manager may keep readers waiting");
                }
                false
            }
        }
    }

    fn place(self, path: &Path) -> io::Result<()> {
        let is_missing = |what: &str| io::Error::other(format!("{what} was not kept"));
        let memory = self.0.get("memory").ok_or_else(|| is_missing("the memory"))?;
        let shared = shared_memory::map(memory.as_fd())?;
        shared.header.check().map_err(io::Error::other)?;
        let device = mount_point::device(path).ok().flatten();
        if !device.is_some_and(|device| shared.header.is_of(device)) {
            return Err(io::Error::other("it is not what is mounted now"));
        }
        let has = |number: usize| shared.header.has_device(number);
        let devices = descriptors::DEVICES.iter().enumerate().filter(|(number, _)| has(*number));
        let devices: Vec<_> = devices.map(|(_number, device)| *device).collect();
        for stored in &STORED {
            match self.0.get(stored.name) {
                Some(kept) => descriptor::place(kept.as_fd(), stored.number)?,
                None if devices.contains(&stored.number) => return Err(is_missing(stored.name)),
                None => {}
            }
        }
        adopt::bury(shared);
        // The timer that ran is gone with its last holder.
        shared.header.watch_armed.store(0, SeqCst);
        Ok(())
    }
}

/// Has the manager close what it keeps: the kernel ends the session then, and whoever
/// waits for it gets an error. Before that the mount point would keep us waiting too.
fn forget() -> io::Result<()> {
    let Some(socket) = service_manager::socket()? else { return Ok(()) };
    STORED.iter().try_for_each(|stored| service_manager::forget(socket.as_fd(), stored))
}

/// Has the manager on `socket` keep the session that was left for the keeper.
///
/// # Errors
///
/// When the manager does not listen.
pub fn store(socket: &OwnedFd) -> io::Result<()> {
    for stored in &STORED {
        // On a machine with one CPU there is one device.
        if let Ok(fd) = descriptor::borrowed(stored.number) {
            service_manager::keep(socket.as_fd(), stored, fd)?;
        }
    }
    Ok(())
}
