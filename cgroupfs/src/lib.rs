//! Control groups as they are mounted on this machine: v1, hybrid and v2 read
//! into one set of types.
//!
//! Everything after this crate is unaware of the cgroup version. It finds where
//! each controller is mounted ([`layout`]), which group a process is in
//! ([`membership`]), and parses what the interface files say (one module per
//! file family). Parsers are pure functions over `&str`; [`memory`], [`cpu`] and
//! [`tasks`] read a [`group`] with all its ancestors through files that are kept
//! open ([`interface`]).
//!
//! What this crate does not do: decide what a container sees (policy: `view/`
//! and `scope` of procfs-fuse) or create and limit groups (`cgroup/` of the
//! runtime, through `cgroups-rs`). Something enters it only when both programs
//! use it or when it is the shared meaning of an interface file.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst` and
//! `Documentation/admin-guide/cgroup-v1/`.

#![forbid(unsafe_code)]

pub mod bandwidth;
pub mod controller;
pub mod cpu;
pub mod cpu_list;
pub mod cpu_usage;
pub mod format;
pub mod group;
pub mod interface;
pub mod io;
pub mod layout;
pub mod limit;
pub mod membership;
pub mod memory;
pub mod memory_stat;
pub mod presence;
pub mod pressure;
pub mod tasks;
