//! One at a time: the group above all containers is made by the first and removed
//! by the last, and another command must not find it half-way.

use std::fs::File;
use std::path::Path;

use super::CgroupError;
use cgroups_rs::fs::hierarchies::UNIFIED_MOUNTPOINT;

/// Locks the hierarchies against other commands until the file is closed.
///
/// The lock is an advisory one on the directory they are mounted in: it changes
/// nothing there, and it is the same for every state directory.
pub(super) fn hold() -> Result<File, CgroupError> {
    let path = Path::new(UNIFIED_MOUNTPOINT);
    let failed = |source| CgroupError::Lock { path: path.to_owned(), source };
    let directory = File::open(path).map_err(failed)?;
    directory.lock().map_err(failed)?;
    Ok(directory)
}
