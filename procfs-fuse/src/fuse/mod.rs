//! The edge: messages of `/dev/fuse` in, answers out.
//!
//! [`session`] mounts and negotiates (with `fuser`). [`worker`] is the life of a
//! process that serves; its threads run [`device`], which reads requests and
//! writes answers, container by container where many wait ([`turns`]), with one text for all who wait
//! for the same ([`latest`]); [`replay`] answers what a dead worker left.
//! [`request`] and [`reply`] are the kernel's messages as types,
//! [`filesystem`] decides what each request is answered, with the directories of
//! [`tree`] and their [`names`], the [`private`] trees that the [`door`] hands out, the open files of [`open_files`] and the texts of
//! [`source`].
//!
//! What this folder does not do: decide what a file says (`serve`), or when to
//! mount and stop (`daemon`). Only here is `fuser` named.
//!
//! Kernel source of truth: `include/uapi/linux/fuse.h` and `fs/fuse/dev.c`.

mod device;
mod door;
pub mod filesystem;
mod histories;
mod latest;
mod names;
mod open_files;
mod private;
mod private_trees;
pub mod rehearsal;
mod replay;
mod reply;
mod request;
pub mod session;
pub mod source;
pub mod tree;
mod turns;
pub mod worker;
