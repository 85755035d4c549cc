//! The clock that all processes of a daemon agree on, across suspends.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_BOOTTIME` in this process's time namespace.
pub fn boottime_ns() -> u64 {
    // The clock exists since Linux 2.6.39 and cannot fail to be read.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |now| now.tv_sec().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec()));
    u64::try_from(now).unwrap_or(0)
}
