//! A control group for the workers alone, so that whoever kills a group, by hand or
//! because it is out of memory, does not take the keeper with them.
//!
//! It is made below the keeper's own, in the one hierarchy that limits the number of
//! processes, or in cgroup2; nothing is limited in it. Below systemd it is made only
//! where the unit says `Delegate=`. Doing without it is no reason not to start.
//!
//! What this module does not do: enter it. A worker does so first of all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cgroupfs::controller::Controller;
use cgroupfs::{layout, membership};
use rustix::fs::getxattr;

/// How its name begins; the keeper's pid follows.
const PREFIX: &str = "portholefs-";

/// Where systemd says that a group is the service's own to divide.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Makes the group of the workers of the keeper that this process is or becomes, and
/// opens the file by which they enter. Removes those of keepers that are gone.
///
/// # Errors
///
/// Why it is not to be had.
pub(super) fn make() -> io::Result<File> {
    let own = own_group()?;
    if Path::new("/run/systemd/system").exists() && !is_delegated(&own) {
        return Err(io::Error::other("the unit has no Delegate="));
    }
    remove_abandoned_in(&own);
    let group = own.join(name_of(std::process::id()));
    match fs::create_dir(&group) {
        // It is there when the keeper was continued in the same process.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _there => {}
    }
    File::options().write(true).open(group.join("cgroup.procs"))
}

/// Removes the group of the workers of `keeper`, of whose group this process is too.
/// A worker that cannot be killed keeps it; then the next daemon removes it.
pub fn remove(keeper: u32) {
    if let Ok(own) = own_group() {
        let _in_use_or_never_made = fs::remove_dir(own.join(name_of(keeper)));
    }
}

fn name_of(keeper: u32) -> String {
    format!("{PREFIX}{keeper}")
}

fn own_group() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let layout = layout::parse(&mounts, Path::new("/")).map_err(io::Error::other)?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = membership::parse(&own).map_err(io::Error::other)?;
    let group = layout.group(&own, Controller::Pids).map_err(io::Error::other)?;
    group.map(|group| group.dir()).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn is_delegated(group: &Path) -> bool {
    DELEGATED.iter().any(|name| {
        let mut value = [0; 8];
        getxattr(group, *name, &mut value).is_ok_and(|length| value.starts_with(b"1") && length > 0)
    })
}

/// Removes the groups of keepers that were killed, and whose workers have ended since.
///
/// A group is empty a moment after its last process has ended (Linux 6.19), so the one
/// that a daemon continues may still be there when [`make`] looks.
pub fn remove_abandoned() {
    if let Ok(own) = own_group() {
        remove_abandoned_in(&own);
    }
}

fn remove_abandoned_in(own: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(keeper) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let is_number = keeper.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && !Path::new("/proc").join(keeper).exists() {
            let _in_use = fs::remove_dir(entry.path());
        }
    }
}
