//! What must be remembered about a container between two reads.
//!
//! Pure: functions from (what was remembered, a new reading) to (what to show,
//! what to remember). The daemon keeps one [`History`] per container; `Default`
//! is a container that nobody has asked for yet.
//!
//! What this folder does not do: hold locks or shared memory. A history is plain
//! data of a fixed size in which every bit pattern is a value, so its keeper may
//! copy it out, let a file be rendered with it, and copy it back. A copy that is
//! lost costs one step that is taken again.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod cpu_time;

use cpu_time::CpuTime;

/// What is remembered about one container. Plain data, so that it can be kept
/// in memory that outlives a worker process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct History {
    /// Load averages shown last.
    pub load: LoadShown,
    /// CPU time shown so far. Last, as most of it is zero: its keeper may leave out zeros
    /// at the end.
    pub cpu: CpuTime,
}

/// Load averages as they were shown, so that they go on where another process
/// continues to sample them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LoadShown {
    /// Over 1, 5 and 15 minutes, in the kernel's fixed point: 2048 is 1.
    pub averages: [u64; 3],
    /// When they were right, in nanoseconds of `CLOCK_BOOTTIME`; 0: never shown.
    pub at_ns: u64,
    /// CPU time that the container had used by then, in nanoseconds.
    pub used_ns: u64,
}

/// Size of a [`History`] in bytes: what its keeper must set aside for each container.
pub const SIZE: usize = size_of::<History>();

// The layout is shared between program versions: it changes on purpose only.
const _: () = assert!(SIZE == 592 && align_of::<History>() == 8);
