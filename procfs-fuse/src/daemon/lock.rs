//! One daemon per mount point, and what it says about itself.
//!
//! Beside the mount point `DIR/NAME` is a file `DIR/.NAME.lock`. The daemon
//! holds a lock on it for as long as it lives (the kernel lets go of it, however
//! the daemon ends) and writes its [`Status`] into it. Anybody can read the
//! file, also while the daemon hangs, and ask whether the lock is held.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::config::lock_file;
use crate::daemon::Hint;

/// What a daemon says about itself; the JSON of `portholefs status --json`.
///
/// Written by the keeper (`keeper::report`), read here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The process that holds the mount.
    pub keeper_pid: u32,
    /// The process that answers reads; 0 while there is none.
    pub worker_pid: u32,
    /// Counts the workers since the mount; the first is 1.
    pub generation: u64,
    /// Version of the worker.
    pub version: String,
    /// Workers that had to be replaced because they died or hung.
    pub takeovers: u64,
    /// No worker can start; the host's files are served.
    pub fallback: bool,
    /// Upgrades so far.
    pub upgrades: u64,
    /// Upgrades that failed and changed nothing.
    pub refused_upgrades: u64,
}

/// What `portholefs status` writes for people.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mount point  {}", self.mount_point.display())?;
        writeln!(f, "keeper pid   {}", self.keeper_pid)?;
        writeln!(f, "worker pid   {} (generation {})", self.worker_pid, self.generation)?;
        writeln!(f, "version      {}", self.version)?;
        writeln!(f, "takeovers    {}", self.takeovers)?;
        write!(f, "upgrades     {} ({} refused)", self.upgrades, self.refused_upgrades)?;
        if self.fallback {
            write!(f, "\nno worker can start: the host's files are served")
        } else {
            Ok(())
        }
    }
}

/// The lock of a mount point; held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
    path: PathBuf,
}

/// The lock was not got, or the status not read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon serves the mount point.
    #[error("{} is already served by portholefs with pid {pid}", mount_point.display())]
    Served {
        /// The place both want.
        mount_point: PathBuf,
        /// The daemon that has it; 0 when it is only starting.
        pid: u32,
    },
    /// No daemon serves the mount point.
    #[error("no portholefs serves {}", .0.display())]
    NotServed(PathBuf),
    /// The lock file could not be used.
    #[error("the lock file {} cannot be used", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Hint for LockError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Served { mount_point, .. } => {
                Some(format!("portholefs status {}", mount_point.display()))
            }
            Self::NotServed(mount_point) => {
                Some(format!("portholefs serve {}", mount_point.display()))
            }
            Self::Io { .. } => None,
        }
    }
}

impl Lock {
    /// Takes the lock of `mount_point`, whose parent directory must be there.
    ///
    /// # Errors
    ///
    /// [`LockError::Served`] when another daemon holds it.
    pub fn take(mount_point: &Path) -> Result<Self, LockError> {
        let path = lock_file(mount_point);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let file = options.open(&path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { file, path }),
            Err((file, Errno::EWOULDBLOCK)) => {
                let pid = read(&file).map_or(0, |status| status.keeper_pid);
                Err(LockError::Served { mount_point: mount_point.to_owned(), pid })
            }
            Err((_file, errno)) => Err(failed(errno.into())),
        }
    }

    /// Writes what `portholefs status` will tell, until the keeper does.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`], for example when the disk is full.
    pub fn publish(&self, status: &Status) -> Result<(), LockError> {
        let failed = |source| LockError::Io { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(status).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.file.write_all_at(&text, 0).map_err(failed)?;
        self.file.set_len(text.len() as u64).map_err(failed)
    }
}

impl Status {
    /// What a daemon says before it has a worker.
    pub fn starting(mount_point: &Path) -> Self {
        Self {
            mount_point: mount_point.to_owned(),
            keeper_pid: std::process::id(),
            worker_pid: 0,
            generation: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            takeovers: 0,
            fallback: false,
            upgrades: 0,
            refused_upgrades: 0,
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What the daemon at `mount_point` says about itself.
///
/// # Errors
///
/// [`LockError::NotServed`] when no daemon holds the lock.
pub fn status(mount_point: &Path) -> Result<Status, LockError> {
    let path = lock_file(mount_point);
    let not_served = || LockError::NotServed(mount_point.to_owned());
    let file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => not_served(),
        _other => LockError::Io { path: path.clone(), source },
    })?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_nobody_holds_it) => Err(not_served()),
        Err((file, Errno::EWOULDBLOCK)) => {
            read(&file).map_err(|source| LockError::Io { path, source })
        }
        Err((_file, errno)) => Err(LockError::Io { path, source: errno.into() }),
    }
}

/// What the last daemon at `mount_point` said about itself, dead or alive.
///
/// # Errors
///
/// [`LockError::Io`] when there was none.
pub fn last_status(mount_point: &Path) -> Result<Status, LockError> {
    let path = lock_file(mount_point);
    File::open(&path).and_then(|file| read(&file)).map_err(|source| LockError::Io { path, source })
}

fn read(mut file: &File) -> io::Result<Status> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(text.trim_end())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::one_line;

    fn example(mount_point: &Path) -> Status {
        Status { keeper_pid: 4242, worker_pid: 4243, ..Status::starting(mount_point) }
    }

    #[test]
    fn the_second_daemon_is_told_the_pid_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let mount_point = directory.path().join("fs");
        let first = Lock::take(&mount_point).unwrap();
        first.publish(&example(&mount_point)).unwrap();
        let shown = mount_point.display();
        assert_eq!(
            one_line(&Lock::take(&mount_point).unwrap_err()),
            format!(
                "{shown} is already served by portholefs with pid 4242 (try: portholefs status {shown})"
            )
        );
    }

    #[test]
    fn status_is_what_was_published_while_the_lock_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let mount_point = directory.path().join("fs");
        let shown = mount_point.display();
        let refused = format!("no portholefs serves {shown} (try: portholefs serve {shown})");
        assert_eq!(one_line(&status(&mount_point).unwrap_err()), refused);
        let lock = Lock::take(&mount_point).unwrap();
        let mut published = example(&mount_point);
        for takeovers in [1000, 1] {
            published.takeovers = takeovers; // the second text is shorter
            lock.publish(&published).unwrap();
            assert_eq!(status(&mount_point).unwrap(), published);
        }
        drop(lock);
        assert_eq!(one_line(&status(&mount_point).unwrap_err()), refused);
    }
}
