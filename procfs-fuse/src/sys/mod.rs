//! System calls that neither the standard library nor nix offers; the only
//! folder of this crate with `unsafe`. One file per family of call.

#![allow(unsafe_code)]

pub mod affinity;
#[cfg(test)]
pub(crate) mod allocations;
pub mod allocator;
pub mod capabilities;
pub mod clock;
pub mod crash;
pub mod descriptor;
pub mod fd_passing;
pub mod file_handle;
pub mod fixed_text;
pub mod fuse_device;
pub mod notify;
pub mod pid_namespace;
pub mod plain;
pub mod process;
pub mod shared_memory;
pub mod timer;
