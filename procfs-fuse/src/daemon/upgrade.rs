//! `portholefs upgrade`: asks the keeper to continue as the installed version.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::Hint;
use crate::daemon::lock::{self, LockError, Status};

/// How long a new version may take to become ready.
const LIMIT: Duration = Duration::from_secs(10);

/// How often the status is read meanwhile.
const INTERVAL: Duration = Duration::from_millis(10);

/// Why the old version still serves.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// No daemon.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keeper could not be told.
    #[error("the keeper with pid {pid} cannot be told to upgrade")]
    Signal {
        /// The keeper.
        pid: u32,
        /// Why not.
        source: Errno,
    },
    /// The new version did not pass its own check.
    #[error("the new version did not start; version {0} still serves")]
    Refused(String),
    /// Nothing happened.
    #[error("the new version was not ready within {} s; version {version} still serves", LIMIT.as_secs())]
    Late {
        /// The version that serves.
        version: String,
    },
}

impl Hint for UpgradeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.hint(),
            Self::Signal { .. } => Some("run it as root".to_owned()),
            Self::Refused(_) | Self::Late { .. } => Some(
                "journalctl -u portholefs, or the file of --log-file, which say why".to_owned(),
            ),
        }
    }
}

/// Has the daemon at `mount_point` continue as the version that is installed
/// where its program file was, and returns its status then.
///
/// # Errors
///
/// Why the old version still serves.
pub fn upgrade(mount_point: &Path) -> Result<Status, UpgradeError> {
    let before = lock::status(mount_point)?;
    let keeper = Pid::from_raw(before.keeper_pid.cast_signed());
    kill(keeper, Signal::SIGHUP)
        .map_err(|source| UpgradeError::Signal { pid: before.keeper_pid, source })?;
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        let now = lock::status(mount_point)?;
        if now.upgrades > before.upgrades {
            return Ok(now);
        }
        if now.refused_upgrades > before.refused_upgrades {
            return Err(UpgradeError::Refused(now.version));
        }
        thread::sleep(INTERVAL);
    }
    Err(UpgradeError::Late { version: before.version })
}
