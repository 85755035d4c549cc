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

use crate::daemon::Hint;
use crate::daemon::lock::{self, Status};
use crate::shared::header::{LayoutError, TABLES};
use crate::shared::{Shared, descriptors};
use crate::sys::shared_memory;

/// Why the memory of a daemon cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be opened or mapped.
    #[error("the daemon's memory cannot be read")]
    Io(#[from] io::Error),
    /// Its version has another layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its version keeps other tables.
    #[error("the daemon's version keeps tables {0}, and this one knows {TABLES}")]
    Tables(u64),
}

impl Hint for MemoryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root".to_owned())
            }
            Self::Io(_) => None,
            Self::Layout(_) | Self::Tables(_) => {
                Some("portholefs upgrade, which continues as this version".to_owned())
            }
        }
    }
}

/// The memory of the daemon of `mount_point`; `None` where there is none that we know.
pub fn beside(mount_point: &Path) -> Option<&'static Shared> {
    let alone = |error: &dyn Hint| debug!(%error, "on its own, without the daemon's memory");
    let status = lock::last_status(mount_point).inspect_err(|error| alone(error)).ok()?;
    of(&status).inspect_err(|error| alone(error)).ok()
}

/// Maps the memory of the daemon that says `status` of itself.
///
/// # Errors
///
/// [`MemoryError`] when we are not root, or its version is another one.
pub fn of(status: &Status) -> Result<&'static Shared, MemoryError> {
    let holder = if status.keeper_pid == 0 { status.worker_pid } else { status.keeper_pid };
    let path = Path::new("/proc").join(holder.to_string()).join("fd");
    let path = path.join(descriptors::MEMORY.to_string());
    let memory = File::options().read(true).write(true).open(path)?;
    let shared = shared_memory::map(memory.as_fd())?;
    shared.header.check()?;
    match shared.header.tables.load(SeqCst) {
        TABLES => Ok(shared),
        other => Err(MemoryError::Tables(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::one_line;

    #[test]
    fn whoever_is_not_root_is_told_so() {
        let refused = MemoryError::from(io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(
            one_line(&refused),
            "the daemon's memory cannot be read: Permission denied (os error 13) (try: run it as root)"
        );
        assert_eq!(
            one_line(&MemoryError::Tables(1)),
            format!(
                "the daemon's version keeps tables 1, and this one knows {TABLES} \
                 (try: portholefs upgrade, which continues as this version)"
            )
        );
    }
}
