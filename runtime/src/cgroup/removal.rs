//! Removing groups for good: whatever still runs in them is ended first.
//!
//! A container's processes end with its first one, so there is normally nothing
//! to end; this is for what is left when we were killed half-way.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::CgroupError;
use crate::sys::{pidfd, signal};

/// How long the kernel may hold a group after its last process has ended. It is
/// a matter of microseconds, unless a process cannot be ended (state D).
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts on a group that is empty but still held: v1 has no
/// event for that moment.
const HELD: Duration = Duration::from_millis(1);

/// Removes `directories` and the groups below them.
pub(super) fn remove(directories: &[PathBuf]) -> Result<(), CgroupError> {
    directories.iter().try_for_each(|path| {
        remove_one(path).map_err(|source| CgroupError::Remove { path: path.clone(), source })
    })
}

/// Removes those of `directories` that hold no group, and leaves the others.
pub(super) fn remove_if_empty(directories: &[PathBuf]) {
    for path in directories {
        // Another container's group below it is the ordinary case.
        let _ = fs::remove_dir(path);
    }
}

fn remove_one(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                empty(path, deadline)?;
            }
            other => return other,
        }
    }
}

/// Removes the groups below `path` and ends the processes in it.
fn empty(path: &Path, deadline: Instant) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_one(&entry.path())?;
        }
    }
    let processes = processes(path)?;
    if processes.is_empty() {
        std::thread::sleep(HELD);
    }
    processes.into_iter().try_for_each(|process| end(process, path, deadline))
}

fn processes(path: &Path) -> io::Result<Vec<Pid>> {
    let text = fs::read_to_string(path.join("cgroup.procs"))?;
    // 0 stands for a process that we cannot see; it is not ours to end.
    Ok(text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|id| *id > 0)
        .map(Pid::from_raw)
        .collect())
}

/// Kills a process of the group at `path` and waits until it has ended.
fn end(process: Pid, path: &Path, deadline: Instant) -> io::Result<()> {
    let pidfd = match pidfd::open(process) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other?,
    };
    // The id may have been given to another process since the list was read;
    // that one is not in the group.
    if !processes(path)?.contains(&process) {
        return Ok(());
    }
    match signal::send(pidfd.as_fd(), Signal::SIGKILL) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other?,
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
