//! The host's own files as types: text in, numbers out; pure.
//!
//! A container's file is the host's file with some lines said anew, so these
//! parsers keep what they do not know: it is passed on line by line, and a
//! newer kernel's line is neither lost nor an error. What they say strictly is
//! the part that the view counts with.
//!
//! What this folder does not do: read files (`readings/`) or decide anything
//! (`view/`).

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod cpu_columns;
pub mod cpu_mask;
pub mod cpuinfo;
pub mod disks;
pub mod meminfo;
pub mod mountinfo;
pub mod node;
pub mod stat;
pub mod zoneinfo;
