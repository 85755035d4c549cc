//! One daemon per mount point, and what it says about itself.
//!
//! Beside the mount point `DIR/NAME` is a file `DIR/.NAME.lock`. The daemon
//! holds a lock on it for as long as it lives (the kernel lets go of it, however
//! the daemon ends) and writes its [`Status`] into it. Anybody can read the
//! file, also while the daemon hangs, and ask whether the lock is held.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::config::lock_file;
use crate::daemon::Hint;
use crate::daemon::orphans::Orphans;

/// What a daemon says about itself; the JSON of `portholefs status --json`.
///
/// Written by the keeper (`keeper::report`), read here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The process that holds the mount; 0 when it was killed and a worker is left.
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
    /// Workers are in a control group of their own.
    #[serde(default)]
    pub separate_group: bool,
    /// Upgrades so far.
    pub upgrades: u64,
    /// Upgrades that failed and changed nothing.
    pub refused_upgrades: u64,
}

/// What `portholefs status` writes for people.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mount point  {}", self.mount_point.display())?;
        match self.keeper_pid {
            0 => writeln!(f, "keeper pid   none: it was killed (try: {})", self.continue_it())?,
            pid => writeln!(f, "keeper pid   {pid}")?,
        }
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
    /// The keeper was killed, and workers of it are left.
    #[error("the keeper of {} was killed; {}", mount_point.display(), left(*worker))]
    Orphaned {
        /// Whose keeper.
        mount_point: PathBuf,
        /// The worker that answers; `None` when none does.
        worker: Option<Pid>,
    },
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
            Self::Orphaned { mount_point, .. } => Some(continue_serving(mount_point)),
            Self::Io { .. } => None,
        }
    }
}

/// How long the lock of a keeper that is gone may still be held: by a child
/// between fork and exec, which takes it a millisecond.
const EXEC_LIMIT: Duration = Duration::from_secs(1);

/// How often it is tried again meanwhile.
const EXEC_POLL: Duration = Duration::from_millis(5);

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
        let mut file = options.open(&path).map_err(failed)?;
        let began = Instant::now();
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => return Ok(Self { file, path }),
                Err((file, Errno::EWOULDBLOCK)) => file,
                Err((_file, errno)) => return Err(failed(errno.into())),
            };
            // Whoever asks whether there is a daemon shares the lock for a moment;
            // a daemon shares it with nobody.
            file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
                Ok(shared) => shared.unlock().map_err(|(_file, errno)| failed(errno.into()))?,
                Err((file, Errno::EWOULDBLOCK)) => {
                    // Unreadable: whoever holds it was killed while writing, or writes.
                    let pid = read(&file).map_or(0, |status| status.keeper_pid);
                    if is_there(pid) || began.elapsed() > EXEC_LIMIT {
                        return Err(LockError::Served { mount_point: mount_point.to_owned(), pid });
                    }
                    thread::sleep(EXEC_POLL);
                    file
                }
                Err((_file, errno)) => return Err(failed(errno.into())),
            };
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
    fn continue_it(&self) -> String {
        continue_serving(&self.mount_point)
    }

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
            separate_group: false,
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

/// The command that starts a keeper for workers that have lost theirs.
fn continue_serving(mount_point: &Path) -> String {
    format!("portholefs serve --daemon {}, which continues it", mount_point.display())
}

fn is_there(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn left(worker: Option<Pid>) -> String {
    match worker {
        Some(pid) => format!("its worker with pid {pid} still answers, and nothing replaces it"),
        None => "reads wait for the next one".to_owned(),
    }
}

/// What the daemon at `mount_point` says about itself.
///
/// # Errors
///
/// * [`LockError::NotServed`]: there is none.
/// * [`LockError::Orphaned`]: there are workers, and no keeper.
pub fn status(mount_point: &Path) -> Result<Status, LockError> {
    let path = lock_file(mount_point);
    let mut file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LockError::NotServed(mount_point.to_owned()),
        _other => LockError::Io { path: path.clone(), source },
    })?;
    let failed = |source| LockError::Io { path: path.clone(), source };
    let began = Instant::now();
    loop {
        file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_nobody_holds_it) => return Err(without_keeper(mount_point)),
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_file, errno)) => return Err(failed(errno.into())),
        };
        let said = read(&file);
        let is_there = said.as_ref().is_ok_and(|status| is_there(status.keeper_pid));
        if is_there || began.elapsed() > EXEC_LIMIT {
            return said.map_err(failed);
        }
        thread::sleep(EXEC_POLL);
    }
}

/// What there is at a mount point whose lock nobody holds.
fn without_keeper(mount_point: &Path) -> LockError {
    let mount_point = mount_point.to_owned();
    match Orphans::of(&mount_point) {
        Some(orphans) => LockError::Orphaned { mount_point, worker: orphans.worker() },
        None => LockError::NotServed(mount_point),
    }
}

/// The same for whoever wants to know and not to do anything: where only workers
/// are left it is what is known of them.
///
/// # Errors
///
/// [`LockError::NotServed`] when there is neither a daemon nor a worker.
pub fn last_status(mount_point: &Path) -> Result<Status, LockError> {
    match status(mount_point) {
        Err(LockError::Orphaned { worker, .. }) => {
            let path = lock_file(mount_point);
            let said = File::open(&path).and_then(|file| read(&file));
            let said = said.map_err(|source| LockError::Io { path, source })?;
            let worker_pid = worker.map_or(0, |pid| pid.as_raw().cast_unsigned());
            Ok(Status { keeper_pid: 0, worker_pid, ..said })
        }
        told => told,
    }
}

fn read(mut file: &File) -> io::Result<Status> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    // What follows the first line is the end of a longer text that was there before.
    Ok(serde_json::from_str(text.lines().next().unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::one_line;

    fn example(mount_point: &Path) -> Status {
        Status { keeper_pid: 1, worker_pid: 4243, ..Status::starting(mount_point) }
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
                "{shown} is already served by portholefs with pid 1 (try: portholefs status {shown})"
            )
        );
    }

    #[test]
    fn whoever_asks_does_not_keep_a_daemon_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        let mount_point = directory.path().join("fs");
        drop(Lock::take(&mount_point).unwrap());
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                for _question in 0..2000 {
                    let _served_or_not = status(&mount_point);
                }
            });
            while !asking.is_finished() {
                drop(Lock::take(&mount_point).unwrap());
            }
        });
    }

    #[test]
    fn a_keeper_that_is_gone_is_said_with_the_way_out() {
        let gone = |worker| LockError::Orphaned { mount_point: "/x/fs".into(), worker };
        assert_eq!(
            one_line(&gone(Some(Pid::from_raw(7)))),
            "the keeper of /x/fs was killed; its worker with pid 7 still answers, and nothing \
             replaces it (try: portholefs serve --daemon /x/fs, which continues it)"
        );
        assert_eq!(
            one_line(&gone(None)),
            "the keeper of /x/fs was killed; reads wait for the next one \
             (try: portholefs serve --daemon /x/fs, which continues it)"
        );
        let status = Status { keeper_pid: 0, ..example(Path::new("/x/fs")) };
        let line = "keeper pid   none: it was killed (try: portholefs serve --daemon /x/fs, which continues it)";
        assert_eq!(status.to_string().lines().nth(1), Some(line));
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
