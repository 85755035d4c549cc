//! What must be remembered about a container between two reads.
//!
//! Pure: functions from (what was remembered, a new reading) to (what to show,
//! what to remember). The daemon keeps one [`History`] per container.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

/// What is remembered about one container. Plain data, so that it can be kept
/// in memory that outlives a worker process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {}
