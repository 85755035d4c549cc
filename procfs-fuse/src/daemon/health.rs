//! `portholefs health`: a real read through the mount, with a time limit.
//!
//! A reader of a hung daemon cannot be killed. So the read is done by a child,
//! which is left behind when it takes too long, and the probe itself returns.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::daemon::Hint;
use crate::daemon::lock::{self, LockError};

/// What is read. Every machine has it, and it is empty for nobody: a probe may itself be
/// in a container.
const PROBED: &str = "proc/meminfo";

/// Why a mount point is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// No daemon.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The read was not answered in time.
    #[error("{} was not answered within {} ms", path.display(), limit.as_millis())]
    Late {
        /// The file that was read.
        path: PathBuf,
        /// How long the probe waited.
        limit: Duration,
    },
    /// The read ended in an error or without text.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file that was read.
        path: PathBuf,
        /// What the read said.
        source: io::Error,
    },
    /// The probe itself failed.
    #[error("the probe cannot be run")]
    Probe(#[source] io::Error),
}

impl Hint for HealthError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.hint(),
            Self::Late { .. } | Self::Unreadable { .. } => {
                Some("systemctl restart portholefs".to_owned())
            }
            Self::Probe(_) => None,
        }
    }
}

/// Reads one file below `mount_point` and fails when that takes longer than
/// `limit`.
///
/// # Errors
///
/// What is wrong, in the order in which a person would look for it.
pub fn check(mount_point: &Path, limit: Duration) -> Result<(), HealthError> {
    lock::status(mount_point)?;
    let path = mount_point.join(PROBED);
    match ask_child(&path, limit).map_err(HealthError::Probe)? {
        None => Err(HealthError::Late { path, limit }),
        Some(answer) => match answer.trim_end().parse() {
            Ok(0) => Ok(()),
            Ok(errno) => Err(unreadable(path, io::Error::from_raw_os_error(errno))),
            Err(_not_a_number) => Err(HealthError::Probe(io::Error::other(answer))),
        },
    }
}

/// What the child does: reads `path` and writes 0, or the errno, to standard output.
///
/// # Errors
///
/// When standard output is closed.
pub fn probe(path: &Path) -> io::Result<()> {
    let mut text = Vec::new();
    let errno = match File::open(path).and_then(|mut file| file.read_to_end(&mut text)) {
        Ok(0) => libc::ENODATA,
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    writeln!(io::stdout(), "{errno}")
}

/// The child's line; `None` when it wrote none within `limit`.
fn ask_child(path: &Path, limit: Duration) -> io::Result<Option<String>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["health", "--probe"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let Some(mut output) = child.stdout.take() else { return Ok(None) };
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let mut waiting = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    if poll(&mut waiting, timeout)? == 0 {
        child.kill()?;
        return Ok(None);
    }
    let mut answer = String::new();
    output.read_to_string(&mut answer)?;
    child.wait()?;
    Ok(Some(answer))
}

fn unreadable(path: PathBuf, source: io::Error) -> HealthError {
    HealthError::Unreadable { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CATALOG;
    use crate::daemon::one_line;

    #[test]
    fn what_is_probed_is_served() {
        assert!(CATALOG.iter().any(|entry| entry.path == PROBED));
    }

    #[test]
    fn a_read_that_is_late_is_said_with_the_way_out() {
        let late =
            HealthError::Late { path: "/x/fs/proc/meminfo".into(), limit: Duration::from_secs(1) };
        assert_eq!(
            one_line(&late),
            "/x/fs/proc/meminfo was not answered within 1000 ms (try: systemctl restart portholefs)"
        );
    }
}
