//! The life of a daemon: prepare, mount, serve, stop.
//!
//! [`serve`] is the story; [`preflight`] checks the machine, [`lock`] sees to it
//! that a mount point has one daemon, [`mount_point`] makes the place ready,
//! [`background`] is `--daemon`, [`health`] looks from outside.

pub mod background;
pub mod health;
pub mod lock;
pub mod mount_point;
mod mounts;
pub mod preflight;
mod serve;

pub use serve::{ServeError, ServeOptions, serve};

use std::error::Error;
use std::fmt::Write as _;

/// An error that can say what the user may do about it.
pub trait Hint: Error {
    /// The way out, as a command or a place to look; `None` when there is none to name.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// One line for the user: the chain of causes, then the way out.
pub fn one_line(error: &dyn Hint) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _infallible = write!(line, ": {cause}");
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        let _infallible = write!(line, " (try: {hint})");
    }
    line
}
