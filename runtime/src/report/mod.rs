//! What is told about the making of a container: why it failed ([`LaunchError`])
//! and what was done otherwise than planned ([`Note`]).
//!
//! A function that does something returns a [`Fault`]: the object and the
//! reason. The list of steps in `process/` adds at which [`Step`] it happened.
//! All of it crosses from the child to its parent, so it is plain data.

mod error;
mod note;
mod step;

pub use error::LaunchError;
pub(crate) use error::{AtStep, Fault, Object};
pub use note::Note;
pub use step::Step;
