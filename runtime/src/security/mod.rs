//! What the processes of a container may do: who they are ([`accounts`]), their
//! capabilities ([`capabilities`]), their system calls ([`seccomp`]), and which of those
//! are answered as files are ([`notify`], [`holder`], [`standby`]).
//!
//! What this module does not do: decide any of it (`plan/security.rs`), hide
//! files (`rootfs/masks.rs`).

pub(crate) mod accounts;
pub(crate) mod capabilities;
pub(crate) mod holder;
pub(crate) mod notify;
pub(crate) mod seccomp;
pub(crate) mod standby;
