//! What the tests that need a machine share.
//!
//! * [`needs`]: what a test needs of the machine, and why it did not run;
//! * [`program`]: one test program: its trials, and the check that it left nothing behind;
//! * [`daemon`], [`container`], [`group`], [`terminal`]: things that are there while a value lives;
//! * [`dockerd`], [`lxcfs`]: others' programs of the same kind;
//! * [`private_tree`]: a tree of a container's own, asked for by hand;
//! * [`process`]: who is whose child;
//! * [`ran`]: what a program printed, and the evidence when it is wrong;
//! * [`random`]: numbers that look random, and can be drawn again;
//! * [`speed`]: how much less is asked of an imitated processor.
//!
//! The tests are an oracle, so what they compare with is read here anew, from
//! the kernel's files, and not with the product's own readers.

#![allow(clippy::print_stderr, reason = "a test program talks to whoever runs it")]

pub mod binaries;
pub mod container;
pub mod daemon;
pub mod dockerd;
pub mod group;
pub mod leaks;
pub mod lxcfs;
pub mod needs;
pub mod private_tree;
pub mod process;
pub mod program;
pub mod ran;
pub mod random;
pub mod speed;
pub mod terminal;

pub use container::Container;
pub use daemon::Daemon;
pub use group::Group;
pub use leaks::folder;
pub use needs::Need;
pub use program::{alone, trial};
pub use ran::Ran;
pub use random::Random;

/// What a test returns: `Err` carries the evidence.
pub type Verdict = anyhow::Result<()>;
