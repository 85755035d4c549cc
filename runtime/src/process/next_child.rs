//! Namespaces that only a child can be born into: time and pid.
//!
//! A process can name them for its children and stays where it is. So the parent
//! does that for its next child, and takes its own back when the child is there:
//! what it starts later is in none of them.
//!
//! Source of truth: `time_namespaces(7)`, `pid_namespaces(7)`,
//! `kernel/time/namespace.c`.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use super::Target;
use crate::plan::Clock;
use crate::report::{Fault, Note, Object};

const OFFSETS: &str = "/proc/self/timens_offsets";

/// What the next child is born into, until it is [put back](Self::put_back).
#[derive(Debug, Default)]
pub(super) struct NextChild {
    /// The caller's own namespaces, and of which kind they are.
    own: Vec<(OwnedFd, CloneFlags)>,
    /// What could not be had.
    pub(super) note: Option<Note>,
}

impl NextChild {
    /// With a time namespace of its own, in which boot time and monotonic time
    /// are in their first second now, if `clock` asks for it and the kernel has such.
    pub(super) fn with(clock: Clock) -> Result<Self, Fault> {
        let mut next = Self::default();
        if clock == Clock::Host {
            return Ok(next);
        }
        let Some(own) = own("time")? else {
            next.note = Some(not_in_this_kernel());
            return Ok(next);
        };
        unshare(new_time()).of("a time namespace")?;
        next.own.push((own, new_time()));
        match write_offsets() {
            Ok(()) => Ok(next),
            Err(fault) => next.put_back().and(Err(fault)),
        }
    }

    /// In the pid and time namespaces of the container `target`.
    pub(super) fn inside(target: &Target) -> Result<Self, Fault> {
        let mut next = Self::default();
        for (name, kind) in [("pid", CloneFlags::CLONE_NEWPID), ("time", new_time())] {
            let Some(own) = own(name)? else { continue };
            match setns(&target.init, kind).of(format!("the container's {name} namespace")) {
                Ok(()) => next.own.push((own, kind)),
                Err(fault) => return next.put_back().and(Err(fault)),
            }
        }
        Ok(next)
    }

    /// Takes the caller's own back for children to come.
    pub(super) fn put_back(self) -> Result<(), Fault> {
        for (own, kind) in self.own {
            setns(own, kind).of("the host's namespaces")?;
        }
        Ok(())
    }
}

/// The caller's own namespace; `None` when this kernel has no such kind.
fn own(name: &str) -> Result<Option<OwnedFd>, Fault> {
    let path = format!("/proc/self/ns/{name}");
    match open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Err(Errno::ENOENT) => Ok(None),
        opened => opened.of(path).map(Some),
    }
}

fn not_in_this_kernel() -> Note {
    Note::Fallback(
        "this kernel has no time namespaces: uptime and start times in the container count from \
         the host's boot"
            .to_owned(),
    )
}

/// `CLONE_NEWTIME`, which nix does not name.
fn new_time() -> CloneFlags {
    CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)
}

/// Makes now the beginning, in the time namespace of the next child.
fn write_offsets() -> Result<(), Fault> {
    let now = |clock| clock_gettime(clock).map(Duration::from).of("the clocks");
    let offsets = offsets(now(ClockId::CLOCK_MONOTONIC)?, now(ClockId::CLOCK_BOOTTIME)?);
    fs::write(OFFSETS, offsets).of(OFFSETS)
}

/// The text for `timens_offsets` that takes the whole seconds off both clocks.
///
/// Whole, because `btime` in `/proc/stat` is: whoever computes it from the
/// host's and the offset then gets what the kernel itself shows inside.
fn offsets(monotonic: Duration, boottime: Duration) -> String {
    format!("monotonic -{} 0\nboottime -{} 0\n", monotonic.as_secs(), boottime.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_take_both_clocks_to_their_first_second() {
        let text = offsets(Duration::new(12, 250_000_000), Duration::new(3600, 0));
        assert_eq!(text, "monotonic -12 0\nboottime -3600 0\n");
    }
}
