//! The memory of a daemon that runs, for whoever wants to know what is in it.
//!
//! It is opened through a process that holds it, which takes root. What is read from it
//! needs no answer of the daemon, so it is told of one that hangs, too.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use tracing::debug;

use crate::daemon::lock::{self, Status};
use crate::shared::header::TABLES;
use crate::shared::{Shared, descriptors};
use crate::sys::shared_memory;

/// The memory of the daemon of `mount_point`; `None` where there is none that we know.
pub fn beside(mount_point: &Path) -> Option<&'static Shared> {
    let status = lock::last_status(mount_point);
    let memory = status.map_err(io::Error::other).and_then(|status| of(&status));
    memory.inspect_err(|error| debug!(%error, "on its own, without the daemon's memory")).ok()
}

/// Maps the memory of the daemon that says `status` of itself.
///
/// # Errors
///
/// * `EACCES`, `EPERM`: not root.
/// * `Unsupported`: its version keeps other tables.
pub fn of(status: &Status) -> io::Result<&'static Shared> {
    let holder = if status.keeper_pid == 0 { status.worker_pid } else { status.keeper_pid };
    let path = Path::new("/proc").join(holder.to_string()).join("fd");
    let path = path.join(descriptors::MEMORY.to_string());
    let memory = File::options().read(true).write(true).open(path)?;
    let shared = shared_memory::map(memory.as_fd())?;
    shared.header.check().map_err(io::Error::other)?;
    match shared.header.tables.load(SeqCst) {
        TABLES => Ok(shared),
        other => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("its version keeps tables {other}, and this one knows {TABLES}"),
        )),
    }
}
