//! What a file says: a view as text, in the kernel's own format; pure.
//!
//! Each function appends one file to a `String` and cannot fail. It names the
//! kernel function that it imitates, down to the widths.
//!
//! What this folder does not do: decide. A renderer that needs an `if` about
//! policy is missing a field in its view.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod cpu_columns;
pub mod cpu_list;
pub mod cpu_mask;
pub mod cpuinfo;
pub mod diskstats;
pub mod loadavg;
pub mod meminfo;
pub mod schedstat;
pub mod stat;
pub mod swaps;
pub mod uptime;
pub mod vmstat;
pub mod zoneinfo;
