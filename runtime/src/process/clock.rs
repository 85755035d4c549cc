//! Clocks that begin with the container: a time namespace.
//!
//! Only a child can be born into a new time namespace, and its offsets must be
//! written before. So the parent makes one for its next child, and takes its own
//! back when the child is there: what it starts later is not in it.
//!
//! Source of truth: `time_namespaces(7)`, `kernel/time/namespace.c`.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use crate::report::{Fault, Note, Object};

const OFFSETS: &str = "/proc/self/timens_offsets";

/// A time namespace that the next child is born into, while this value lives.
#[derive(Debug)]
pub(super) struct NewClocks {
    own: OwnedFd,
}

impl NewClocks {
    /// Makes a time namespace for the next child, in which boot time and
    /// monotonic time are 0 now; or says why the child gets the host's.
    pub(super) fn for_next_child() -> Result<Result<Self, Note>, Fault> {
        let own =
            match open("/proc/self/ns/time", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
                Err(Errno::ENOENT) => return Ok(Err(not_in_this_kernel())),
                opened => opened.of("/proc/self/ns/time")?,
            };
        unshare(new_time()).of("a time namespace")?;
        let clocks = Self { own };
        fs::write(OFFSETS, offsets_now().of("the clocks")?).of(OFFSETS)?;
        Ok(Ok(clocks))
    }

    /// Takes the own clocks back for children to come.
    pub(super) fn put_back(self) -> Result<(), Fault> {
        setns(self.own, new_time()).of("the host's time namespace")
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
pub(super) fn new_time() -> CloneFlags {
    CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)
}

fn offsets_now() -> nix::Result<String> {
    let monotonic = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    let boottime = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    Ok(offsets(monotonic, boottime))
}

/// The text for `timens_offsets` that makes both clocks read 0 when they read
/// `monotonic` and `boottime`.
fn offsets(monotonic: Duration, boottime: Duration) -> String {
    let (monotonic, boottime) = (negated(monotonic), negated(boottime));
    format!("monotonic {monotonic}\nboottime {boottime}\n")
}

/// `-time` as seconds and nanoseconds, where the kernel wants the latter positive.
fn negated(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("-{} 0", time.as_secs()),
        nanos => format!("-{} {}", time.as_secs().saturating_add(1), 1_000_000_000 - nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_take_both_clocks_to_zero() {
        let text = offsets(Duration::new(12, 250_000_000), Duration::new(3600, 0));
        assert_eq!(text, "monotonic -13 750000000\nboottime -3600 0\n");
    }
}
