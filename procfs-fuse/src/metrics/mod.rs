//! What the daemon tells of itself to whoever watches many of them: numbers by
//! name, in the text format of Prometheus (OpenMetrics).
//!
//! Nothing is kept here. What is counted is in the memory that outlives workers
//! ([`shared::counters`](crate::shared::counters)), what is occupied is read off its
//! tables when somebody asks ([`occupancy`]), and the rest is the kernel's word on
//! our processes ([`processes`]). So any process that maps the memory can answer:
//! the worker on a socket ([`listener`]), and `portholefs metrics` for people.
//!
//! What this folder does not do: run when nobody asks. docs/METRICS.md has the table
//! for people; `cargo xtask tidy` holds it and [`definitions`] together.

pub mod definitions;
pub mod exposition;
pub mod listener;
pub mod occupancy;
pub mod processes;
