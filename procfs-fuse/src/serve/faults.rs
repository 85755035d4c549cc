//! Why a reader was shown the host's file although it may be in a container;
//! counted, and logged at a bounded rate.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use cgroupfs::layout::PlaceError;

use crate::caller::TaskError;
use crate::log::limited;
use crate::readings::ReadingError;
use crate::shared::counters::{Counters, Reason};

/// Something that went wrong between a request and its container's text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// FUSE could not name the caller.
    #[error("the reader is outside of our pid namespace")]
    Unseen,
    /// The caller could not be identified.
    #[error("cannot tell who reads")]
    Caller(#[from] TaskError),
    /// Its groups could not be found.
    #[error("cannot find the reader's cgroup")]
    Place(#[from] PlaceError),
    /// The container was removed while one of its files was open.
    #[error("the container is gone")]
    Gone,
    /// Its files could not be read.
    #[error("cannot read the container's cgroup")]
    Reading(#[from] ReadingError),
    /// What is mounted could not be read.
    #[error("cannot tell where cgroups are mounted")]
    Mounts(#[source] io::Error),
    /// The host's own file cannot be read: no reader is shown anything else.
    #[error("cannot read the host's own file")]
    Host(#[source] io::Error),
    /// There is no time.
    #[error("cannot tell the time")]
    Clock(#[source] io::Error),
}

impl Fault {
    /// True when the container was removed, or its files were replaced.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Gone => true,
            Self::Reading(error) => error.is_gone(),
            _ => false,
        }
    }

    /// As what it is counted.
    fn reason(&self) -> Reason {
        match self {
            Self::Unseen => Reason::Unseen,
            Self::Caller(_) => Reason::Caller,
            Self::Place(_) => Reason::Place,
            Self::Gone => Reason::Gone,
            Self::Reading(_) | Self::Host(_) => Reason::Reading,
            Self::Mounts(_) => Reason::Mounts,
            Self::Clock(_) => Reason::Clock,
        }
    }

    /// What the user can do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unseen => Some("run the daemon in the host's pid namespace".to_owned()),
            Self::Caller(TaskError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("run the daemon with CAP_SYS_PTRACE".to_owned())
            }
            Self::Place(error) => Some(error.hint().to_owned()),
            Self::Reading(ReadingError::Cgroup(error)) => error.hint(),
            _ => None,
        }
    }
}

/// The faults so far.
#[derive(Debug)]
pub(super) struct Faults {
    count: AtomicU64,
    counters: &'static Counters,
}

impl Faults {
    /// None yet; they are told to `counters` too.
    pub(super) fn told_to(counters: &'static Counters) -> Self {
        Self { count: AtomicU64::new(0), counters }
    }

    /// Counts `fault` and logs it, unless much was logged of late.
    pub(super) fn note(&self, fault: &Fault) {
        self.counters.fallback(fault.reason());
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let ended = matches!(fault, Fault::Caller(TaskError::Gone { .. })) || fault.is_gone();
        let hint = fault.hint();
        let fault = fault as &dyn Error;
        // What ends while it is looked at is nobody's fault.
        if ended {
            tracing::debug!(fault, count, "the host's file is shown");
        } else {
            limited!(warn, fault, hint, count, "the host's file is shown");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_refusal_names_the_capability_that_is_missing() {
        let refused = io::Error::from_raw_os_error(libc::EACCES);
        let fault = Fault::from(TaskError::new(Path::new("/proc/7/ns/pid"), refused));
        assert_eq!(fault.to_string(), "cannot tell who reads");
        assert_eq!(fault.source().unwrap().to_string(), "cannot read /proc/7/ns/pid");
        assert_eq!(fault.hint().as_deref(), Some("run the daemon with CAP_SYS_PTRACE"));
    }

    #[test]
    fn who_is_not_seen_is_told_why() {
        assert_eq!(Fault::Unseen.to_string(), "the reader is outside of our pid namespace");
        let hint = Fault::Unseen.hint();
        assert_eq!(hint.as_deref(), Some("run the daemon in the host's pid namespace"));
    }

    #[test]
    fn every_fault_counts() {
        static COUNTERS: Counters = Counters::new();
        let faults = Faults::told_to(&COUNTERS);
        faults.note(&Fault::Unseen);
        faults.note(&Fault::Gone);
        assert_eq!(faults.count.load(Ordering::Relaxed), 2);
        assert_eq!(Reason::ALL.iter().map(|reason| COUNTERS.fallbacks(*reason)).sum::<u64>(), 2);
        assert_eq!(COUNTERS.fallbacks(Reason::Unseen), 1);
    }
}
