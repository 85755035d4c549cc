//! The life of a daemon: prepare, mount, serve, stop.
//!
//! [`serve`] is the story; [`preflight`] checks the machine, [`lock`] sees to it
//! that a mount point has one daemon, [`mount_point`] makes the place ready,
//! [`background`] is `--daemon`, [`health`] looks from outside.

pub mod background;
pub mod health;
pub mod lock;
pub mod mount_point;
pub mod preflight;
mod serve;

pub use crate::hint::{Hint, one_line};
pub use serve::{ServeError, ServeOptions, serve};
