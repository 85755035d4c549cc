//! A worker whose keeper is gone still serves: its session is continued.
//!
//! The worker has every descriptor that a keeper needs. They are copied out of
//! it, it is killed, and the next worker answers what it held: readers notice a
//! delay.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracing::{info, warn};

use crate::daemon::lock;
use crate::shared::descriptors;
use crate::shared::slots::State;
use crate::sys::{descriptor, process, shared_memory};

/// How long the worker may take to die: longer than anything but
/// uninterruptible sleep.
const DEATH_MS: u16 = 1000;

/// Continues the session of `worker`, which an earlier keeper left; false when
/// that is not possible. The caller holds the lock.
pub fn adopt(worker: Pid) -> bool {
    match take(worker) {
        Ok(()) => {
            info!(worker = worker.as_raw(), "continuing the session of a worker without a keeper");
            true
        }
        Err(error) => {
            warn!(%error, worker = worker.as_raw(), "cannot continue a worker's session; mounting anew");
            // Whoever holds the session would keep its readers waiting.
            let _dead_already = kill(worker, Signal::SIGKILL);
            false
        }
    }
}

/// The worker that the lock file of `mount_point` names, if it is alive and one
/// of ours.
pub fn orphan(mount_point: &Path) -> Option<Pid> {
    let pid = lock::last_status(mount_point).ok()?.worker_pid;
    let memory = format!("/proc/{pid}/fd/{}", descriptors::MEMORY);
    let target = fs::read_link(memory).ok()?;
    let ours = format!("/memfd:{} (deleted)", shared_memory::NAME);
    (target == Path::new(&ours)).then(|| Pid::from_raw(pid.cast_signed()))
}

fn take(worker: Pid) -> io::Result<()> {
    let pidfd = process::pidfd_open(worker)?;
    for number in descriptors::of_workers() {
        match process::pidfd_getfd(pidfd.as_fd(), number) {
            Ok(copy) => descriptor::place(copy.as_fd(), number)?,
            // On a machine with one CPU there is one device.
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {}
            Err(error) => return Err(error),
        }
    }
    let memory = descriptor::borrowed(descriptors::MEMORY)?;
    let shared = shared_memory::map(memory)?;
    shared.header.check().map_err(io::Error::other)?;
    kill(worker, Signal::SIGKILL)?;
    wait_for_end(pidfd.as_fd())?;
    for bank in &shared.banks {
        bank.set_state(match bank.state() {
            State::Serving | State::Lost | State::Hung => State::Lost,
            State::Free | State::Starting | State::Ready => State::Free,
        });
    }
    shared.header.takeovers.fetch_add(1, SeqCst);
    Ok(())
}

fn wait_for_end(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let mut waiting = [PollFd::new(pidfd, PollFlags::POLLIN)];
    match poll(&mut waiting, PollTimeout::from(DEATH_MS))? {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        _dead => Ok(()),
    }
}
