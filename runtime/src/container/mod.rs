//! A container over its life: its state on disk, the process that looks after it,
//! and what is done when that one is gone.
//!
//! Each container has a *monitor*: a process with one thread, parent of the
//! container's first process. It alone writes the container's state, and removes
//! its cgroups when it has ended. The monitor holds a lock for as long as it
//! lives; a lock that can be had means that nobody looks after the container any
//! more, and whoever gets it clears up ([`collect`]).
//!
//! What this module does not do: make the process (`process`), decide anything
//! about it (`cli`, `plan`), or speak to the user (`commands`).

pub mod collect;
pub mod error;
pub mod id;
pub mod identity;
pub mod monitor;
pub mod output;
mod recorder;
pub mod report;
pub mod state;
pub mod store;
pub mod watch;

pub use error::StateError;
pub use state::{State, Status};
pub use store::Store;
