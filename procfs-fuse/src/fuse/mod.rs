//! The edge: messages of `/dev/fuse` in, answers out.
//!
//! [`session`] mounts and negotiates (with `fuser`), [`device`] reads requests
//! and writes answers, [`request`] and [`reply`] are the kernel's messages as
//! types, [`filesystem`] decides what each request is answered, with the
//! directories of [`tree`] and the open files of [`open_files`].
//!
//! What this folder does not do: decide what a file says (`serve`), or when to
//! mount and stop (`daemon`). Only here is `fuser` named.
//!
//! Kernel source of truth: `include/uapi/linux/fuse.h` and `fs/fuse/dev.c`.

pub mod device;
pub mod filesystem;
mod open_files;
mod reply;
mod request;
pub mod session;
pub mod tree;
