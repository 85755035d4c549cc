//! The library behind `porthole`, a container runtime whose containers see
//! their own size.
//!
//! Decide, then act: `cli` turns words into a [`plan::Plan`] (pure, printable);
//! `container` carries it out as a list of named steps, using `process`
//! (clone, namespaces, exec), `rootfs` (what is mounted where, the files of
//! `portholefs` among it), `cgroup` (limits, through cgroups-rs) and `security`
//! (users, capabilities, system calls). `unsafe` is only in `sys`.

pub mod cgroup;
pub mod cli;
pub mod commands;
pub mod console;
pub mod container;
pub mod message;
pub mod plan;
pub mod process;
pub mod report;
mod rootfs;
mod security;
pub mod sys;
