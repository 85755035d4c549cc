//! Failing on purpose, for whoever wants to see that nobody notices.
//!
//! `portholefs serve --rehearse crash=proc/loadavg` has every worker crash when a
//! container reads that file. The tests of the guarantees use it; so may anybody
//! before trusting a daemon with production. Readers on the host are spared.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use std::{process, thread};

/// How long a slow answer takes: long enough for a kill to hit it.
const SLOW: Duration = Duration::from_millis(3);

/// One thing to fail at: `crash=proc/loadavg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    fault: Fault,
    path: String,
}

/// How to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Abort when a container reads the file.
    Crash,
    /// Never answer when a container reads the file.
    Hang,
    /// Answer slowly when a container reads the file.
    Slow,
    /// Do not start while a file is there, at any path.
    Refuse,
    /// Begin to start, and get no further while a file is there.
    Stall,
    /// Be of a version whose tables have the layout that a file says.
    Layout,
    /// Abort over the first tables while a file is there.
    Tables,
    /// Leave out a precaution: see [`Omission`].
    Without,
}

/// A precaution without which kills are noticed: the tests of the guarantees see to
/// it that they would notice. Whoever leaves one out does without
/// `FUSE_NOTIFY_RESEND` too, which would hide some of it where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Omission {
    /// `without=prefault`: the buffers are not in memory when requests are read.
    Prefault,
    /// `without=journal`: a request is noted after it was read.
    Journal,
}

/// The argument is not a fault and a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected crash=FILE, hang=FILE, slow=FILE or refuse=FILE")]
pub struct RehearsalError;

impl FromStr for Rehearsal {
    type Err = RehearsalError;

    fn from_str(text: &str) -> Result<Self, RehearsalError> {
        let (fault, path) = text.split_once('=').ok_or(RehearsalError)?;
        let fault = match fault {
            "crash" => Fault::Crash,
            "hang" => Fault::Hang,
            "slow" => Fault::Slow,
            "refuse" => Fault::Refuse,
            "stall" => Fault::Stall,
            "layout" => Fault::Layout,
            "tables" => Fault::Tables,
            "without" => Fault::Without,
            _unknown => return Err(RehearsalError),
        };
        Ok(Self { fault, path: path.to_owned() })
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Crash => "crash",
            Fault::Hang => "hang",
            Fault::Slow => "slow",
            Fault::Refuse => "refuse",
            Fault::Stall => "stall",
            Fault::Layout => "layout",
            Fault::Tables => "tables",
            Fault::Without => "without",
        };
        write!(f, "{fault}={}", self.path)
    }
}

impl Rehearsal {
    /// Fails as told before `path` is answered for a container.
    pub(crate) fn before_text(&self, path: &str) {
        if self.path != path {
            return;
        }
        match self.fault {
            Fault::Crash => process::abort(),
            Fault::Hang => loop {
                thread::park();
            },
            Fault::Slow => thread::sleep(SLOW),
            Fault::Refuse | Fault::Stall | Fault::Layout | Fault::Tables | Fault::Without => {}
        }
    }

    /// Fails as told while a worker starts.
    ///
    /// # Errors
    ///
    /// When it is not to start.
    pub(crate) fn before_start(&self) -> io::Result<()> {
        let is_there = || Path::new(&self.path).exists();
        match self.fault {
            Fault::Refuse if is_there() => Err(io::Error::other("told not to start")),
            Fault::Stall if is_there() => loop {
                thread::park();
            },
            _not_at_the_start => Ok(()),
        }
    }

    /// Fails as told over the tables of this `era`.
    pub(crate) fn before_take_over(&self, era: u64) {
        if self.fault == Fault::Tables && era == 0 && Path::new(&self.path).exists() {
            process::abort();
        }
    }

    /// Which precaution is left out.
    pub(crate) fn omission(&self) -> Option<Omission> {
        match (self.fault, self.path.as_str()) {
            (Fault::Without, "prefault") => Some(Omission::Prefault),
            (Fault::Without, "journal") => Some(Omission::Journal),
            _none => None,
        }
    }

    /// Which layout the tables of this version have, where it is not the real one.
    pub(crate) fn layout(&self) -> Option<u64> {
        let text = (self.fault == Fault::Layout).then(|| fs::read_to_string(&self.path).ok());
        text.flatten()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_fault_and_a_path() {
        let crash = Rehearsal { fault: Fault::Crash, path: "proc/stat".to_owned() };
        assert_eq!("crash=proc/stat".parse(), Ok(crash));
        for text in [
            "crash=a",
            "hang=a/b",
            "slow=a",
            "refuse=/x=y",
            "stall=/x",
            "layout=/x",
            "without=journal",
        ] {
            assert_eq!(text.parse::<Rehearsal>().unwrap().to_string(), text);
        }
        for text in ["", "crash", "explode=proc/stat", "=proc/stat"] {
            assert_eq!(text.parse::<Rehearsal>(), Err(RehearsalError), "input: {text:?}");
        }
    }
}
