//! The moment of a reading, on the clock that all times of a host are told by.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cgroupfs::format::FormatError;
use nix::time::{ClockId, clock_gettime};

const NS_PER_SEC: u64 = 1_000_000_000;

/// The clock of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// The running kernel's.
    Running,
    /// Stopped when the machine was captured: its `proc/uptime`.
    Captured(PathBuf),
}

impl Clock {
    /// The clock of the machine below `root`.
    pub fn of(root: &Path) -> Self {
        if root == Path::new("/") {
            Self::Running
        } else {
            Self::Captured(root.join("proc/uptime"))
        }
    }

    /// Nanoseconds of `CLOCK_BOOTTIME` in the host's time namespace.
    ///
    /// # Errors
    ///
    /// When a captured machine has no `proc/uptime`, or one without a number.
    pub fn now_ns(&self) -> io::Result<u64> {
        match self {
            Self::Running => {
                let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
                let seconds = u64::try_from(now.tv_sec()).map_err(io::Error::other)?;
                let nanoseconds = u64::try_from(now.tv_nsec()).map_err(io::Error::other)?;
                Ok(seconds.saturating_mul(NS_PER_SEC).saturating_add(nanoseconds))
            }
            Self::Captured(uptime) => {
                parse_uptime(&fs::read_to_string(uptime)?).map_err(io::Error::other)
            }
        }
    }
}

/// The first number of `/proc/uptime`, seconds with two decimals, as nanoseconds.
fn parse_uptime(text: &str) -> Result<u64, FormatError> {
    const NS_PER_HUNDREDTH: u64 = NS_PER_SEC / 100;
    let parse = || {
        let (seconds, hundredths) = text.split_ascii_whitespace().next()?.split_once('.')?;
        let seconds: u64 = seconds.parse().ok()?;
        let hundredths: u64 = hundredths.parse().ok()?;
        seconds.checked_mul(NS_PER_SEC)?.checked_add(hundredths.checked_mul(NS_PER_HUNDREDTH)?)
    };
    parse().ok_or_else(|| FormatError::new("\"<seconds>.<hundredths> ...\"", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_clock_does_not_step_back() {
        let first = Clock::Running.now_ns().unwrap();
        assert!(Clock::Running.now_ns().unwrap() >= first);
    }

    #[test]
    fn a_captured_machine_stands_still() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/uptime"), "35.07 68.33\n").unwrap();
        let clock = Clock::of(root.path());
        assert_eq!(clock.now_ns().unwrap(), 35_070_000_000);
        fs::write(root.path().join("proc/uptime"), "soon\n").unwrap();
        let error = clock.now_ns().unwrap_err();
        assert_eq!(error.to_string(), "expected \"<seconds>.<hundredths> ...\", found \"soon\"");
    }
}
