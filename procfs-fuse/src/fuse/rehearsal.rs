//! Failing on purpose, for whoever wants to see that nobody notices.
//!
//! `portholefs serve --rehearse crash=proc/loadavg` has every worker crash when a
//! container reads that file. The tests of the guarantees use it; so may anybody
//! before trusting a daemon with production. Readers on the host are spared.

use std::fmt;
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
            Fault::Refuse => {}
        }
    }

    /// True when a worker is not to start.
    pub(crate) fn refuses_to_start(&self) -> bool {
        self.fault == Fault::Refuse && Path::new(&self.path).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_fault_and_a_path() {
        let crash = Rehearsal { fault: Fault::Crash, path: "proc/stat".to_owned() };
        assert_eq!("crash=proc/stat".parse(), Ok(crash));
        for text in ["crash=a", "hang=a/b", "slow=a", "refuse=/x=y"] {
            assert_eq!(text.parse::<Rehearsal>().unwrap().to_string(), text);
        }
        for text in ["", "crash", "explode=proc/stat", "=proc/stat"] {
            assert_eq!(text.parse::<Rehearsal>(), Err(RehearsalError), "input: {text:?}");
        }
    }
}
