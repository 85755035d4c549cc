//! System calls that nix does not have: one small function each.
//!
//! The only place in this crate with `unsafe`. A function here takes and gives
//! owned or borrowed descriptors, and documents each errno that a caller treats
//! differently; what to do about an error is the caller's business.

#![allow(unsafe_code)]

pub(crate) mod clone;
pub(crate) mod close;
pub(crate) mod command_line;
pub(crate) mod fd_passing;
pub mod fork;
pub(crate) mod keyring;
pub(crate) mod loopback;
pub(crate) mod mount_api;
pub mod pidfd;
mod returned;
pub(crate) mod seccomp;
pub mod signal;
pub(crate) mod signals;
pub(crate) mod terminal;
pub mod terminal_size;
